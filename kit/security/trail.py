"""Keeps security events and the gateway's requests as long as the law requires: `python -m kit.security.trail`.

It reads the files of Docker's logging driver `json-file` and appends security events and requests to one file a day,
which no other process can write. At least once: positions are stored after the lines.
"""

import gzip
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from kit.observability import log
from kit.observability.log_files import LogFiles
from kit.settings import read

PAUSE_SECONDS = 1.0
SECURITY, GATEWAY = "security", "gateway"
HINTS = (b'\\"module\\":\\"security\\"', b"http.log.access")
"""Lines without one of these are not parsed."""
logger = log.get(__name__)


class TrailSettings(BaseSettings):
    """Docker's folder of containers, the folder of the trail, and the days it is kept: the law requires six months."""

    model_config = SettingsConfigDict(env_prefix="TRAIL_", extra="ignore")

    containers: Path = Path("/containers")
    kept: Path = Path("/kept")
    days: int = Field(default=400, ge=180)


class AuditTrail:
    """Appends security events and requests to the files of their days."""

    def __init__(self, settings: TrailSettings) -> None:
        self._settings = settings
        self._files = LogFiles(settings.containers, "*/*-json.log*", settings.kept / "positions.json")

    def collect(self) -> None:
        """Append what is new, once. Raises `OSError`."""
        for batch in self._files.batches():
            self._append(_picked(line for record in batch for line in record.lines))

    def _append(self, lines: Iterator[tuple[str, bytes]]) -> None:
        found = defaultdict[str, list[bytes]](list)
        for name, line in lines:
            found[name].append(line)
        for name, many in found.items():
            with (self._settings.kept / name).open("ab") as file:
                file.writelines(many)
                file.flush()
                os.fsync(file.fileno())

    def tidy(self, today: date) -> None:
        """Compress the files of days that are over, remove those that are too old."""
        oldest = (today - timedelta(days=self._settings.days)).isoformat()
        for path in self._settings.kept.glob("*-*.jsonl*"):
            day = path.name.partition(".")[0].partition("-")[2]
            if day < oldest:
                path.unlink()
            elif path.suffix == ".jsonl" and day < today.isoformat():
                with path.open("rb") as plain, gzip.open(f"{path}.gz", "ab") as packed:  # may exist already
                    shutil.copyfileobj(plain, packed)
                path.unlink()


def _picked(lines: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
    """The security events and requests as they were logged, each with the name of its file."""
    for line in lines:
        if any(hint in line for hint in HINTS) and (kept := _of(line)):
            yield kept


def _of(line: bytes) -> tuple[str, bytes] | None:
    try:
        entry = json.loads(line)
        logged = json.loads(entry["log"])
        kind = SECURITY if logged.get("module") == SECURITY else None
        if str(logged.get("logger", "")).startswith("http.log.access"):
            kind = GATEWAY
        return (f"{kind}-{entry['time'][:10]}.jsonl", entry["log"].encode()) if kind else None
    except (ValueError, KeyError, TypeError, AttributeError):  # not a line of ours
        return None


def main() -> None:
    """Follow the files until cancelled."""
    trail, tidied = AuditTrail(read(TrailSettings)), ""
    log.configure("trail", "collector")
    while True:
        try:
            trail.collect()
            today = datetime.now(UTC).date()
            if tidied != today.isoformat():
                trail.tidy(today)
                tidied = today.isoformat()
        except OSError as error:  # the disk is full, or Docker's folder can't be read: it continues from where it was
            logger.error("audit trail not written", error=type(error).__name__, errno=error.errno)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
