"""Lines of containers' logs as messages: those that are JSON objects unchanged, other text as a JSON object."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

TAG = "portal/"
"""Marks our containers: `tag` in docker-compose.yml."""
CRI = re.compile(rb"(\S+) (?:stdout|stderr) ([FP])\S* (.*)\n", re.DOTALL)
MARKED = re.compile(r"[^\x21-\x7e]+")


@dataclass(frozen=True)
class Line:
    """What a container wrote; `complete`: not a piece that the next line continues."""

    container: str
    time: str
    text: str
    complete: bool


Format = Callable[[Path, bytes], Line | None]
"""Reads a line of a file; `None` if it is not one, or not of ours."""


def docker(_path: Path, line: bytes) -> Line | None:
    """A line of Docker's driver json-file. It splits lines of more than 16 kB."""
    try:
        entry = orjson.loads(line)
        tag, text = str(entry["attrs"]["tag"]), str(entry["log"])
        complete = text.endswith("\n")
        named = tag.startswith(TAG)
        return Line(tag.removeprefix(TAG), str(entry["time"]), text.removesuffix("\n"), complete) if named else None
    except (ValueError, KeyError, TypeError):
        return None


def kubernetes(path: Path, line: bytes) -> Line | None:
    """A line of a file NAMESPACE_POD_UID/CONTAINER/0.log, as container runtimes write them."""
    pod = path.parts[-3].split("_")
    if not (found := CRI.fullmatch(line)) or len(pod) != 3:
        return None
    time, kind, text = found.groups()
    return Line(pod[1], time.decode(), text.decode(errors="replace"), kind == b"F")


def message(site: str, pieces: Sequence[Line]) -> bytes:
    """A syslog message (RFC 5424) with the text that the pieces are."""
    first = pieces[0]
    text = "".join(piece.text for piece in pieces)
    if not _is_object(text):
        wrapped = {"timestamp": first.time, "process": first.container, "event": text}
        text = json.dumps(wrapped, ensure_ascii=False)
    container = MARKED.sub("_", first.container)[:48]
    return f"<14>1 {first.time} {site} {container} - - - {text}".encode(errors="replace")


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict) and "\n" not in text
    except ValueError:
        return False
