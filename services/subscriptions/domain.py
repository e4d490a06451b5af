"""The rules of subscriptions that are true without I/O: cursors, who gets what, lanes and when to try again."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

State = Literal["active", "paused", "deleted"]
Reason = Literal["failing", "gone", "owner", "operator"]
Outcome = Literal["delivered", "failed", "abandoned"]

SCOPE = "changes:read"
"""What an API client needs to follow the records."""
CURSOR_VERSION = 1
HIGHEST_OFFSET = 2**63 - 1
LONGEST_CURSOR = 4_000
GONE = 410
MOST_LANES = 100  # so many people at most wait by themselves; then the webhook waits as a whole
RECOVERED_AFTER = timedelta(seconds=60)


class BadCursor(ValueError):
    """Not a cursor of ours."""


class ForeignCursor(ValueError):
    """A cursor of ours, for a topic of another shape: it was made anew since."""


def write_cursor(offsets: Sequence[int]) -> str:
    """A place in the topic, as opaque text: the next offset of each partition."""
    text = json.dumps([CURSOR_VERSION, *offsets], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, partitions: int) -> list[int]:
    """What `write_cursor` wrote. Raises `BadCursor`, `ForeignCursor`."""
    if len(cursor) > LONGEST_CURSOR:
        raise BadCursor
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise BadCursor from error
    if not isinstance(found, list) or not all(type(each) is int and 0 <= each <= HIGHEST_OFFSET for each in found):
        raise BadCursor
    if found[:1] != [CURSOR_VERSION]:
        raise BadCursor
    if len(found) != partitions + 1:
        raise ForeignCursor
    return list(found[1:])


def wanted(kinds: Sequence[str], kind: str | None) -> bool:
    """Whether a webhook for these kinds (none: all) gets an event; what is of no kind concerns everybody."""
    return not kinds or kind is None or kind in kinds


@dataclass(frozen=True)
class Retries:
    """When to try again: after each of `pauses` in turn, then ever after the last one, until `give_up` is over."""

    pauses: Sequence[float]
    give_up: timedelta

    def after(self, attempts: int) -> timedelta:
        """How long to wait after so many failed attempts (one or more)."""
        return timedelta(seconds=self.pauses[min(attempts, len(self.pauses)) - 1])


class Lane(BaseModel):
    """A person whose events wait: from `offset` on; everybody else's go on meanwhile.

    `since`: of the first failed attempt at what stands first; null: nothing failed, the lane is a replay.
    """

    model_config = ConfigDict(frozen=True)

    person: str
    partition: int
    offset: int
    due_at: datetime
    attempts: int = 0
    since: datetime | None = None

    def failed(self, offset: int, now: datetime, retries: Retries) -> Self:
        """After a failed attempt at the event there."""
        again = offset == self.offset and self.since is not None
        attempts = self.attempts + 1 if again else 1
        since = self.since if again else now
        fields = {"offset": offset, "attempts": attempts, "since": since, "due_at": now + retries.after(attempts)}
        return self.model_copy(update=fields)

    def moved(self, offset: int, now: datetime) -> Self:
        """After everything before `offset` was delivered; the rest goes on at once. Not moved is not changed."""
        if offset == self.offset:
            return self
        return self.model_copy(update={"offset": offset, "attempts": 0, "since": None, "due_at": now})


class Progress(BaseModel):
    """How far a webhook is: by partition, and who waits behind. Saved whole; nothing before it is ever needed again.

    `failing_since`: the first failure after the last success.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    offsets: list[int]
    lanes: list[Lane] = []
    failing_since: datetime | None = None
    delivered: int = 0
    abandoned: int = 0
    updated_at: datetime

    @property
    def room(self) -> int:
        """How many more people may come to wait by themselves."""
        return MOST_LANES - len(self.lanes)

    def waits(self, person: str) -> bool:
        """Whether this person's events wait in a lane."""
        return any(lane.person == person for lane in self.lanes)

    def due(self, now: datetime) -> list[Lane]:
        """The lanes to be tried now, the longest overdue first."""
        return sorted((lane for lane in self.lanes if lane.due_at <= now), key=lambda lane: lane.due_at)

    def idle(self, now: datetime, most: timedelta) -> timedelta:
        """How long nobody who waits will be due, `most` at most."""
        return min([most, *(max(timedelta(0), lane.due_at - now) for lane in self.lanes)])

    def with_lanes(self, changed: Sequence[Lane], gone: Sequence[str] = ()) -> Self:
        """With these lanes in place of the same people's, and without those that have caught up."""
        people = {*gone, *(lane.person for lane in changed)}
        return self.model_copy(update={"lanes": [*(one for one in self.lanes if one.person not in people), *changed]})

    def noted(self, *, succeeded: int, failed: int, now: datetime) -> Self:
        """After a round of attempts. An endpoint that is back after a while need not wait for anybody's turn."""
        was, lanes = self.failing_since, self.lanes
        if succeeded:
            if was is not None and now - was > RECOVERED_AFTER:
                lanes = [lane.model_copy(update={"due_at": now}) for lane in lanes]
            was = None
        elif failed:
            was = was or now
        update = {"failing_since": was, "lanes": lanes, "delivered": self.delivered + succeeded, "updated_at": now}
        return self.model_copy(update=update)

    def resumed(self, at: datetime) -> Self:
        """After somebody resumed the webhook at this time: what failed before it does not count any more."""
        if self.failing_since is None or self.failing_since >= at:
            return self
        lanes = [lane.model_copy(update={"due_at": at, "attempts": 0, "since": None}) for lane in self.lanes]
        return self.model_copy(update={"failing_since": None, "lanes": lanes})

    def again(self, offsets: Sequence[int]) -> Self:
        """Back to these offsets, for everybody; never forward."""
        back = [min(pair) for pair in zip(self.offsets, offsets, strict=True)]
        behind = [lane for lane in self.lanes if lane.offset < back[lane.partition]]
        return self.model_copy(update={"offsets": back, "lanes": behind})

    def within(self, begins: Sequence[int], ends: Sequence[int]) -> Self:
        """In a topic that reaches from and to these offsets: a place that is not in it becomes its beginning."""
        places = zip(self.offsets, begins, ends, strict=True)
        offsets = [at if begin <= at <= end else begin for at, begin, end in places]
        lanes = [lane for lane in self.lanes if begins[lane.partition] <= lane.offset < offsets[lane.partition]]
        return self.model_copy(update={"offsets": offsets, "lanes": lanes})
