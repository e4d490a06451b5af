"""Webhooks and their rules, without I/O: their versions, who gets what, lanes, and when to try again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from kit.core.documents import Document
from kit.core.ids import new_id

State = Literal["active", "paused", "deleted"]
Reason = Literal["failing", "gone", "owner", "operator"]
Outcome = Literal["delivered", "failed", "abandoned"]
BY = "service:subscriptions"
"""Who makes the versions that no caller asked for."""
GONE = 410
MAX_PERSON_QUEUES = 100  # so many people at most wait by themselves; then the webhook waits as a whole
RECOVERED_AFTER = timedelta(seconds=60)


def wanted(kinds: Sequence[str], kind: str | None) -> bool:
    """Whether a webhook for these kinds (none: all) gets an event; what is of no kind concerns everybody."""
    return not kinds or kind is None or kind in kinds


@dataclass(frozen=True)
class WebhookDraft:
    """What a client says of a webhook."""

    url: str
    kinds: Sequence[str]
    description: str


@dataclass(frozen=True)
class Answer:
    """What a receiver answered: the status, or else an `error`."""

    status: int | None
    error: str | None
    milliseconds: int

    @property
    def ok(self) -> bool:
        """Whether the receiver has taken the event: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


class Webhook(Document):
    """A webhook of a client. The old secret signs too until `old_secret_until`."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"secret_sealed", "old_secret_sealed"}

    client_id: str
    url: str
    kinds: list[str]
    description: str
    state: State = "active"
    reason: Reason | None = None
    since: datetime  # events written before it are not this webhook's
    resumed_at: datetime
    secret_sealed: str
    old_secret_sealed: str | None = None
    old_secret_until: datetime | None = None

    @classmethod
    def registered(
        cls, webhook_id: str, client_id: str, wish: WebhookDraft, secret_sealed: str, *,
        since: datetime | None, at: datetime, by: str,
    ) -> Self:  # fmt: skip
        """A webhook for everything from now on, or from `since` on; its secret is sealed for this id."""
        return cls.first(
            at=at, by=by, action="created", id=webhook_id, client_id=client_id, url=wish.url, kinds=[*wish.kinds],
            description=wish.description, since=since or at, resumed_at=at, secret_sealed=secret_sealed,
        )  # fmt: skip

    def edited(self, wish: WebhookDraft, *, at: datetime, by: str) -> Self:
        """Another address, other kinds or another description."""
        changes = {"url": wish.url, "kinds": [*wish.kinds], "description": wish.description}
        return self.next_version(changes, at=at, by=by, action="changed")

    def deleted(self, *, at: datetime, by: str) -> Self:
        """Not called any more; the secrets are forgotten."""
        gone = {"state": "deleted", "secret_sealed": "", "old_secret_sealed": None}
        return self.next_version(gone, at=at, by=by, action="deleted")

    def paused(self, reason: Reason, *, at: datetime, by: str) -> Self:
        """Not called until it is resumed."""
        return self.next_version({"state": "paused", "reason": reason}, at=at, by=by, action="paused")

    def resumed(self, *, at: datetime, by: str) -> Self:
        """Called again; what failed before does not count any more."""
        changes = {"state": "active", "reason": None, "resumed_at": at}
        return self.next_version(changes, at=at, by=by, action="resumed")

    def secret_renewed(self, secret_sealed: str, *, old_until: datetime, at: datetime, by: str) -> Self:
        """A new secret; the one before signs too until then."""
        old = {"old_secret_sealed": self.secret_sealed, "old_secret_until": old_until}
        return self.next_version({"secret_sealed": secret_sealed, **old}, at=at, by=by, action="secret_renewed")


class Replay(Document):
    """Somebody wants events again: of one person, or of everybody, from a time on or from the beginning."""

    webhook_id: str
    since: datetime | None
    person: str | None
    state: Literal["requested", "begun"] = "requested"

    @classmethod
    def requested(cls, webhook_id: str, since: datetime | None, person: str | None, *, at: datetime, by: str) -> Self:
        """It begins when a worker sees it."""
        return cls.first(
            at=at, by=by, action="requested", id=new_id(), webhook_id=webhook_id, since=since, person=person
        )

    def begun(self, *, at: datetime) -> Self:
        """The webhook's place was set back."""
        return self.next_version({"state": "begun"}, at=at, by=BY, action="begun")


class Delivery(Document):
    """One attempt. `status`: of the answer; null with an `error` when there was none."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | set(Document.model_fields)

    webhook_id: str
    event_id: str
    event_type: str
    practitioner_id: str
    outcome: Outcome
    attempt: int
    status: int | None
    error: str | None
    milliseconds: int

    @classmethod
    def attempted(
        cls, webhook_id: str, answer: Answer, outcome: Outcome, *,
        event_id: str, event_type: str, practitioner_id: str, attempt: int, at: datetime,
    ) -> Self:  # fmt: skip
        """One delivery attempt; it is written once and never changed."""
        return cls.first(
            at=at, by=BY, action=outcome, id=new_id(), webhook_id=webhook_id, event_id=event_id, event_type=event_type,
            practitioner_id=practitioner_id, outcome=outcome, attempt=attempt, status=answer.status,
            error=answer.error, milliseconds=answer.milliseconds,
        )  # fmt: skip


@dataclass(frozen=True)
class Retries:
    """When to try again: after each of `pauses` in turn, then ever after the last one, until `give_up` is over."""

    pauses: Sequence[float]
    give_up: timedelta

    def after(self, attempts: int) -> timedelta:
        """How long to wait after so many failed attempts (one or more)."""
        return timedelta(seconds=self.pauses[min(attempts, len(self.pauses)) - 1])


class PersonQueue(BaseModel):
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
        """The webhook after a failed delivery of the event at this position."""
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
    lanes: list[PersonQueue] = []
    failing_since: datetime | None = None
    delivered: int = 0
    abandoned: int = 0
    updated_at: datetime

    @property
    def room(self) -> int:
        """How many more people may come to wait by themselves."""
        return MAX_PERSON_QUEUES - len(self.lanes)

    def waits(self, person: str) -> bool:
        """Whether this person's events wait in a lane."""
        return any(lane.person == person for lane in self.lanes)

    def due(self, now: datetime) -> list[PersonQueue]:
        """The lanes to be tried now, the longest overdue first."""
        return sorted((lane for lane in self.lanes if lane.due_at <= now), key=lambda lane: lane.due_at)

    def idle(self, now: datetime, most: timedelta) -> timedelta:
        """How long nobody who waits will be due, `most` at most."""
        return min([most, *(max(timedelta(0), lane.due_at - now) for lane in self.lanes)])

    def with_lanes(self, changed: Sequence[PersonQueue], gone: Sequence[str] = ()) -> Self:
        """With these lanes in place of the same people's, and without those that have caught up."""
        people = {*gone, *(lane.person for lane in changed)}
        return self.model_copy(update={"lanes": [*(one for one in self.lanes if one.person not in people), *changed]})

    def read_to(self, offsets: Sequence[int]) -> Self:
        """With everything before these offsets read: delivered, or waiting in a lane."""
        return self.model_copy(update={"offsets": [*offsets]})

    def noted(self, *, succeeded: int, failed: int, abandoned: int = 0, now: datetime) -> Self:
        """After a round of attempts. An endpoint that is back after a while need not wait for anybody's turn."""
        was, lanes = self.failing_since, self.lanes
        if succeeded:
            if was is not None and now - was > RECOVERED_AFTER:
                lanes = [lane.model_copy(update={"due_at": now}) for lane in lanes]
            was = None
        elif failed:
            was = was or now
        counts = {"delivered": self.delivered + succeeded, "abandoned": self.abandoned + abandoned}
        return self.model_copy(update={"failing_since": was, "lanes": lanes, "updated_at": now, **counts})

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
