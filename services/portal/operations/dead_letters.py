"""Dead letters as operators see and end them: their causes and their shape, never what they say of a person."""

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from kit.core.clock import Clock
from kit.core.errors import AppError, Unavailable
from kit.kafka import dead_letters
from kit.kafka.dead_letters import DeadLetter
from kit.observability import log
from kit.settings import KafkaSettings

SECONDS = 5.0
FRESH_SECONDS = 3
PLAIN = re.compile(r"(?:.*_)?(?:id|kind|state|action|changed|version|at|purpose|code|sha256)")
"""Fields of events whose values say nothing of a person."""
HEADERS = re.compile(r"(?:ce|dead)_[a-z]+")
Action = Literal["replay", "drop"]
logger = log.get(__name__)


class AlreadyEnded(AppError):
    """Somebody else was quicker."""

    def __init__(self) -> None:
        super().__init__(409, "already_ended", "这些死信刚刚已被处理，请核对后再操作")


@dataclass(frozen=True)
class DeadLetterGroup:
    """The letters of a group that died for the same cause, oldest first."""

    group: str
    cause: str
    letters: Sequence[DeadLetter]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.letters)

    @property
    def since(self) -> datetime:
        """When the first one died."""
        return self.letters[0].at


def grouped_dead_letters(letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    """Letters by group and cause."""
    ordered = sorted(letters, key=lambda letter: (letter.group, letter.cause, letter.at))
    grouped = groupby(ordered, key=lambda letter: (letter.group, letter.cause))
    return [DeadLetterGroup(group, cause, list(same)) for (group, cause), same in grouped]


class DeadLetters:
    """Reads them, gives them to their group once more, or ends them."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._reading = asyncio.Lock()
        self._known: tuple[float, list[DeadLetter]] = (0.0, [])

    async def waiting_lately(self) -> list[DeadLetter]:
        """The same as of a few seconds ago, for the page that is always open. Raises `Unavailable`."""
        async with self._reading:
            now = self._clock.now().timestamp()
            if now - self._known[0] > FRESH_SECONDS:
                self._known = now, await self.waiting()
            return self._known[1]

    async def waiting(self) -> list[DeadLetter]:
        """All dead letters that wait for a decision, oldest first. Raises `Unavailable`."""
        try:
            async with asyncio.timeout(SECONDS):
                return await dead_letters.all_dead_letters(self._settings)
        except TimeoutError as error:
            raise Unavailable("Kafka") from error

    async def end(self, action: Action, letters: Sequence[DeadLetter], who: str, why: str) -> None:
        """Replay or drop letters of one group; who (a staff id) did it and why is written to the log first.

        Raises `AlreadyEnded`, `Unavailable`.
        """
        group, ids = letters[0].group, [letter.id for letter in letters]
        logger.warning(
            "dead letters resolved", action=action, group=group, dead_letters=ids, by=f"staff:{who}", reason=why
        )
        do = dead_letters.replay if action == "replay" else dead_letters.drop
        try:
            async with asyncio.timeout(SECONDS + 0.01 * len(ids)):
                await do(self._settings, group, ids)
        except dead_letters.DeadLetterNotFound as error:
            raise AlreadyEnded from error
        except TimeoutError as error:
            raise Unavailable("Kafka") from error
        finally:
            self._known = (0.0, [])


def told_headers(letter: DeadLetter) -> dict[str, str]:
    """The headers of the envelope, and why it died; those of others may hold anything."""
    return {name: value for name, value in letter.headers.items() if HEADERS.fullmatch(name)}


def outline(value: bytes) -> str:
    """The shape of a letter's data: names of fields, and values only of those that say nothing of a person."""
    try:
        return json.dumps(_outlined(json.loads(value)), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return "（不是有效的 JSON）"


def _outlined(value: object, name: str = "") -> object:
    if isinstance(value, dict):
        return {_field(key): _outlined(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_outlined(item, name) for item in value]
    if isinstance(value, str) and not PLAIN.fullmatch(name):
        return f"…（{len(value)} 字）"
    return value if isinstance(value, str | bool | None) or PLAIN.fullmatch(name) else "…"


def _field(name: str) -> str:
    """A field's name; one that is none of ours may be anything."""
    return name if re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) else "…"
