"""What arrived at the phones: the newest in memory, all of it in a file that outlives a restart."""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO

KEPT = 10_000


@dataclass(frozen=True)
class Message:
    """`phone` has 11 digits; `provider` is the operator that was asked.

    `out_id` is the customer's name for the message, `receipt` the operator's; not `delivered`: accepted, and then lost.
    """

    at: str
    phone: str
    text: str
    provider: str
    out_id: str = ""
    receipt: str = ""
    template: str = ""
    delivered: bool = True


class Inbox:
    """Messages, newest last."""

    def __init__(self, file: TextIO, messages: Iterator[Message]) -> None:
        self._file = file
        self._messages = deque(messages, maxlen=KEPT)

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """Reads what is there, appends what comes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            _end_last_line(file)
            file.seek(0)
            yield cls(file, _readable(file))

    def deliver(self, message: Message) -> None:
        self._file.write(json.dumps(asdict(message), ensure_ascii=False) + "\n")
        self._file.flush()
        self._messages.append(message)

    def messages(self, phone: str | None = None, provider: str | None = None) -> list[Message]:
        return [
            message
            for message in self._messages
            if phone in (None, message.phone) and provider in (None, message.provider)
        ]

    def newest(self, count: int) -> list[Message]:
        """Newest first."""
        return list(self._messages)[-count:][::-1]


def now() -> str:
    return datetime.now(UTC).isoformat()


def _end_last_line(file: TextIO) -> None:
    """A process that was killed may have left half a line: nothing may be appended to it."""
    file.seek(0)
    if not (file.read() or "\n").endswith("\n"):
        file.write("\n")


def _readable(file: TextIO) -> Iterator[Message]:
    for line in file:
        try:
            yield Message(**json.loads(line))
        except ValueError:
            continue
