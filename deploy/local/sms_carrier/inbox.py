"""The messages that arrived at phones: the newest in memory, all of them in a file that survives a restart."""

import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO
from zoneinfo import ZoneInfo

KEPT = 10_000
SHANGHAI = ZoneInfo("Asia/Shanghai")
PHONE_NUMBER = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})")
"""The forms of a mobile number that both carriers accept; the group is its 11 digits."""


@dataclass(frozen=True)
class Message:
    """`phone` has 11 digits; `provider` is the carrier that sent it.

    `out_id` is the customer's id of the message, `receipt` the carrier's; not `delivered`: accepted, then lost.
    """

    at: str
    phone: str
    text: str
    provider: str
    out_id: str = ""
    receipt: str = ""
    template: str = ""
    delivered: bool = True

    @property
    def local_time(self) -> str:
        """When it arrived, in Shanghai, in the form that both carriers report."""
        return datetime.fromisoformat(self.at).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


class Inbox:
    """Messages, newest last."""

    def __init__(self, file: TextIO, messages: Iterator[Message]) -> None:
        self._file = file
        self._messages = deque(messages, maxlen=KEPT)

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """Read the messages that are there; new ones are appended."""
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
    """End the half line that a killed process may have left, so that the next message starts a new one."""
    file.seek(0)
    if not (file.read() or "\n").endswith("\n"):
        file.write("\n")


def _readable(file: TextIO) -> Iterator[Message]:
    for line in file:
        try:
            yield Message(**json.loads(line))
        except ValueError:
            continue
