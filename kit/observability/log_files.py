"""Follows the log files of containers, which are renamed when they are full and removed later."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 256 * 1024
"""A batch ends after so many bytes."""
QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Record:
    """The lines of a file that belong together: one, or the pieces of a longer one."""

    path: Path
    lines: tuple[bytes, ...]


class LogFiles:
    """The files of a pattern below a folder, read at least once, with the positions in a file.

    A file is identified by its folder and its first line, which has the time, because its name changes and an inode is
    used again. `continues`: whether a line is a piece of a longer one that the next line continues.
    """

    def __init__(
        self, folder: Path, pattern: str, state: Path, continues: Callable[[Path, bytes], bool] = lambda *_: False
    ) -> None:
        self._folder, self._pattern, self._state, self._continues = folder, pattern, state, continues
        self._positions: dict[str, int] = json.loads(state.read_text()) if state.exists() else {}
        self._seen = set(self._positions)

    def batches(self) -> Iterator[list[Record]]:
        """What is new, the oldest file first. The position of a batch is stored when the next one is requested.

        Raises `OSError`.
        """
        seen = set[str]()
        for path in self._paths():
            try:
                with path.open("rb") as file:
                    if key := self._key(path, file):
                        seen.add(key)
                        yield from self._read(path, file, key)
            except FileNotFoundError:  # renamed concurrently: it is found under its next name
                continue
        # a file that was renamed while the others were read may have been missed once
        self._positions = {key: at for key, at in self._positions.items() if key in seen | self._seen}
        self._seen = seen
        self._store()

    def waiting(self) -> int:
        """How many bytes were not read yet."""
        waiting = 0
        for path in self._paths():
            try:
                with path.open("rb") as file:
                    key = self._key(path, file)
                    waiting += os.fstat(file.fileno()).st_size - self._positions.get(key, 0)
            except FileNotFoundError:
                continue
        return waiting

    def _paths(self) -> list[Path]:
        found = list[tuple[float, Path]]()
        for path in self._folder.glob(self._pattern):
            try:
                found.append((path.stat().st_mtime, path))
            except FileNotFoundError:
                continue
        return [path for _, path in sorted(found) if path.suffix != ".gz"]

    def _key(self, path: Path, file: BinaryIO) -> str:
        """Empty as long as there is no complete line."""
        first = file.readline()
        digest = hashlib.blake2b(first, digest_size=12).hexdigest()
        return f"{path.parent.relative_to(self._folder)}/{digest}" if first.endswith(b"\n") else ""

    def _read(self, path: Path, file: BinaryIO, key: str) -> Iterator[list[Record]]:
        file.seek(self._positions.get(key, 0))
        quiet = time.time() - os.fstat(file.fileno()).st_mtime > QUIET_SECONDS
        batch, end = list[Record](), file.tell()
        for record, size in self._records(path, file, quiet=quiet):
            batch.append(record)
            end += size
            if end - self._positions.get(key, 0) >= MOST_BYTES:
                yield batch
                self._store(key, end)
                batch = []
        if batch:
            yield batch
            self._store(key, end)

    def _records(self, path: Path, file: BinaryIO, *, quiet: bool) -> Iterator[tuple[Record, int]]:
        """The complete ones with their sizes; the last one of a quiet file is complete."""
        pieces, size = list[bytes](), 0
        for line in file:
            if not line.endswith(b"\n"):
                return
            pieces.append(line)
            size += len(line)
            if size >= MOST_BYTES or not self._continues(path, line):
                yield Record(path, tuple(pieces)), size
                pieces, size = [], 0
        if pieces and quiet:
            yield Record(path, tuple(pieces)), size

    def _store(self, key: str = "", position: int = 0) -> None:
        if key:
            self._positions[key] = position
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(self._positions))
        fresh.replace(self._state)
