"""Dead letters for operators: listed, replayed or dropped. Shows causes and field names, but no personal data."""

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
IMPERSONAL = re.compile(r"(?:.*_)?(?:id|kind|state|action|changed|version|at|purpose|code|sha256)")
"""Fields of events whose values are no personal data."""
HEADERS = re.compile(r"(?:ce|dead)_[a-z]+")
Action = Literal["replay", "drop"]
logger = log.get(__name__)


class AlreadyResolved(AppError):
    """Another operator has just replayed or dropped them."""

    def __init__(self) -> None:
        super().__init__(409, "already_ended", "这些死信刚刚已被处理，请核对后再操作")


@dataclass(frozen=True)
class DeadLetterGroup:
    """Dead letters of a consumer group with the same cause, oldest first."""

    group: str
    cause: str
    dead_letters: Sequence[DeadLetter]

    @property
    def count(self) -> int:
        """The number of dead letters."""
        return len(self.dead_letters)

    @property
    def since(self) -> datetime:
        """When the first of them was dead-lettered."""
        return self.dead_letters[0].at


def grouped_dead_letters(dead_letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    """Dead letters by consumer group and cause."""
    ordered = sorted(dead_letters, key=lambda one: (one.group, one.cause, one.at))
    grouped = groupby(ordered, key=lambda one: (one.group, one.cause))
    return [DeadLetterGroup(group, cause, list(same)) for (group, cause), same in grouped]


class DeadLetters:
    """Lists, replays and drops dead letters."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = asyncio.Lock()
        self._cached: tuple[float, list[DeadLetter]] = (0.0, [])

    async def cached_unresolved(self) -> list[DeadLetter]:
        """`unresolved`, at most `FRESH_SECONDS` old, for the dashboard that refreshes. Raises `Unavailable`."""
        async with self._lock:
            now = self._clock.now().timestamp()
            if now - self._cached[0] > FRESH_SECONDS:
                self._cached = now, await self.unresolved()
            return self._cached[1]

    async def unresolved(self) -> list[DeadLetter]:
        """All dead letters that were neither replayed nor dropped, oldest first. Raises `Unavailable`."""
        try:
            async with asyncio.timeout(SECONDS):
                return await dead_letters.all_dead_letters(self._settings)
        except TimeoutError as error:
            raise Unavailable("Kafka") from error

    async def resolve(self, action: Action, chosen: Sequence[DeadLetter], staff_id: str, reason: str) -> None:
        """Replay or drop dead letters of one group; an entry of the audit trail and a log line come first.

        Raises `AlreadyResolved`, `Unavailable`.
        """
        group, ids = chosen[0].group, [one.id for one in chosen]
        logger.warning(
            "dead letters resolved", action=action, group=group, dead_letters=ids, by=f"staff:{staff_id}", reason=reason
        )
        resolve = dead_letters.replay if action == "replay" else dead_letters.drop
        try:
            async with asyncio.timeout(SECONDS + 0.02 * len(ids)):
                await resolve(self._settings, group, ids, f"staff:{staff_id}")
        except dead_letters.DeadLetterNotFound as error:
            raise AlreadyResolved from error
        except TimeoutError as error:
            raise Unavailable("Kafka") from error
        finally:
            self._cached = (0.0, [])


def safe_headers(dead_letter: DeadLetter) -> dict[str, str]:
    """The headers of the CloudEvent and of the dead letter; any other may contain personal data."""
    return {name: value for name, value in dead_letter.headers.items() if HEADERS.fullmatch(name)}


def outline(value: bytes) -> str:
    """The data of a dead letter as JSON, with the values of `IMPERSONAL` fields only."""
    try:
        return json.dumps(_outlined(json.loads(value)), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return "（不是有效的 JSON）"


def _outlined(value: object, name: str = "") -> object:
    if isinstance(value, dict):
        return {_field(key): _outlined(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_outlined(item, name) for item in value]
    if isinstance(value, str) and not IMPERSONAL.fullmatch(name):
        return f"…（{len(value)} 字）"
    return value if isinstance(value, str | bool | None) or IMPERSONAL.fullmatch(name) else "…"


def _field(name: str) -> str:
    """A field name; replaced unless it looks like one of ours, since it may contain personal data."""
    return name if re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) else "…"
