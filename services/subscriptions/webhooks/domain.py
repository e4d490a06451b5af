"""Webhooks and their rules, without I/O: transitions, filters, queues of people, retries."""

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
"""The author of versions that the service makes on its own."""
GONE = 410
MAX_PERSON_QUEUES = 100
"""How many people may have a queue; with more failures the whole webhook waits."""
RECOVERED_AFTER = timedelta(seconds=60)


def kind_matches(kinds: Sequence[str], kind: str | None) -> bool:
    """Whether a webhook for these kinds (empty: all) gets an event; events without a kind go to all webhooks."""
    return not kinds or kind is None or kind in kinds


@dataclass(frozen=True)
class WebhookDraft:
    """The data of a webhook that its client sets; `kinds`: empty for all."""

    url: str
    kinds: Sequence[str]
    description: str


@dataclass(frozen=True)
class Answer:
    """The answer of a receiver: the HTTP status, or an `error` if there was no answer."""

    status: int | None
    error: str | None
    milliseconds: int

    @property
    def ok(self) -> bool:
        """Whether the receiver accepted the event: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


class Webhook(Document):
    """A webhook of a client; until `old_secret_until` events are also signed with the old secret."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"secret_sealed", "old_secret_sealed"}

    client_id: str
    url: str
    kinds: list[str]
    description: str
    state: State = "active"
    reason: Reason | None = None
    since: datetime  # events written to Kafka before it are not delivered
    resumed_at: datetime
    secret_sealed: str
    old_secret_sealed: str | None = None
    old_secret_until: datetime | None = None

    @classmethod
    def registered(
        cls, webhook_id: str, client_id: str, draft: WebhookDraft, secret_sealed: str, *,
        since: datetime | None, at: datetime, by: str,
    ) -> Self:  # fmt: skip
        """A webhook for all events from now on, or from `since` on; its secret is encrypted for this id."""
        return cls.first(
            at=at, by=by, action="created", id=webhook_id, client_id=client_id, url=draft.url, kinds=[*draft.kinds],
            description=draft.description, since=since or at, resumed_at=at, secret_sealed=secret_sealed,
        )  # fmt: skip

    def edited(self, draft: WebhookDraft, *, at: datetime, by: str) -> Self:
        """URL, kinds or description are changed."""
        changes = {"url": draft.url, "kinds": [*draft.kinds], "description": draft.description}
        return self.next_version(changes, at=at, by=by, action="changed")

    def deleted(self, *, at: datetime, by: str) -> Self:
        """It is deleted, and its secrets are removed."""
        changes = {"state": "deleted", "secret_sealed": "", "old_secret_sealed": None}
        return self.next_version(changes, at=at, by=by, action="deleted")

    def paused(self, reason: Reason, *, at: datetime, by: str) -> Self:
        """Nothing is delivered until it is resumed."""
        return self.next_version({"state": "paused", "reason": reason}, at=at, by=by, action="paused")

    def resumed(self, *, at: datetime, by: str) -> Self:
        """Delivery continues; failures before do not count any more."""
        changes = {"state": "active", "reason": None, "resumed_at": at}
        return self.next_version(changes, at=at, by=by, action="resumed")

    def secret_renewed(self, secret_sealed: str, *, old_until: datetime, at: datetime, by: str) -> Self:
        """A new secret; the old one is used as well until `old_until`."""
        old = {"old_secret_sealed": self.secret_sealed, "old_secret_until": old_until}
        return self.next_version({"secret_sealed": secret_sealed, **old}, at=at, by=by, action="secret_renewed")


class Replay(Document):
    """A request to deliver events again: of one person or all, since a time or from the beginning."""

    webhook_id: str
    since: datetime | None
    person: str | None
    state: Literal["requested", "begun"] = "requested"

    @classmethod
    def requested(cls, webhook_id: str, since: datetime | None, person: str | None, *, at: datetime, by: str) -> Self:
        """A new replay; the webhook's worker begins it."""
        return cls.first(
            at=at, by=by, action="requested", id=new_id(), webhook_id=webhook_id, since=since, person=person
        )

    def begun(self, *, at: datetime) -> Self:
        """The webhook's position was moved back."""
        return self.next_version({"state": "begun"}, at=at, by=BY, action="begun")


class Delivery(Document):
    """One attempt. `status`: of the HTTP answer; null, with an `error`, if there was none."""

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
        """The log entry of one attempt; it is never changed."""
        return cls.first(
            at=at, by=BY, action=outcome, id=new_id(), webhook_id=webhook_id, event_id=event_id, event_type=event_type,
            practitioner_id=practitioner_id, outcome=outcome, attempt=attempt, status=answer.status,
            error=answer.error, milliseconds=answer.milliseconds,
        )  # fmt: skip


@dataclass(frozen=True)
class Retries:
    """When to retry: after each of `pauses` (seconds) in turn, the last one repeated, until `give_up` is over."""

    pauses: Sequence[float]
    give_up: timedelta

    def after(self, attempts: int) -> timedelta:
        """How long to wait after this number of failed attempts (at least 1)."""
        return timedelta(seconds=self.pauses[min(attempts, len(self.pauses)) - 1])


class PersonQueue(BaseModel):
    """A person whose events from `offset` on wait, while those of all other people are delivered.

    `since`: the first failed attempt of the first event; null if nothing failed, as in a replay.
    """

    model_config = ConfigDict(frozen=True)

    person: str
    partition: int
    offset: int
    due_at: datetime
    attempts: int = 0
    since: datetime | None = None

    def failed(self, offset: int, now: datetime, retries: Retries) -> Self:
        """The queue after a failed delivery of the event at this offset."""
        repeated = offset == self.offset and self.since is not None
        attempts = self.attempts + 1 if repeated else 1
        since = self.since if repeated else now
        fields = {"offset": offset, "attempts": attempts, "since": since, "due_at": now + retries.after(attempts)}
        return self.model_copy(update=fields)

    def advanced(self, offset: int, now: datetime) -> Self:
        """The queue after all events before `offset` were delivered; due at once. Unchanged at the same offset."""
        if offset == self.offset:
            return self
        return self.model_copy(update={"offset": offset, "attempts": 0, "since": None, "due_at": now})


class Progress(BaseModel):
    """The position of a webhook in each partition, and the queues of people (`lanes`) whose events wait.

    All events before `offsets` are delivered or in a queue. `failing_since`: the first failure after the last success.
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
        """How many more people may get a queue."""
        return MAX_PERSON_QUEUES - len(self.lanes)

    def waits(self, person: str) -> bool:
        """Whether this person has a queue."""
        return any(queue.person == person for queue in self.lanes)

    def due(self, now: datetime) -> list[PersonQueue]:
        """The queues that are due, the longest overdue first."""
        return sorted((queue for queue in self.lanes if queue.due_at <= now), key=lambda queue: queue.due_at)

    def idle(self, now: datetime, limit: timedelta) -> timedelta:
        """How long until the next queue is due, `limit` at most."""
        return min([limit, *(max(timedelta(0), queue.due_at - now) for queue in self.lanes)])

    def with_queues(self, changed: Sequence[PersonQueue], caught_up: Sequence[str] = ()) -> Self:
        """Add or replace these queues, and remove those of the people who have caught up."""
        people = {*caught_up, *(queue.person for queue in changed)}
        others = [queue for queue in self.lanes if queue.person not in people]
        return self.model_copy(update={"lanes": [*others, *changed]})

    def read_to(self, offsets: Sequence[int]) -> Self:
        """Move the position to these offsets: everything before them is delivered or in a queue."""
        return self.model_copy(update={"offsets": [*offsets]})

    def counted(self, *, succeeded: int, failed: int, abandoned: int = 0, now: datetime) -> Self:
        """Count a batch of attempts; if the receiver has recovered from a longer failure, all queues are due now."""
        failing_since = self.failing_since
        queues = self.lanes
        if succeeded:
            if failing_since is not None and now - failing_since > RECOVERED_AFTER:
                queues = [queue.model_copy(update={"due_at": now}) for queue in queues]
            failing_since = None
        elif failed:
            failing_since = failing_since or now
        counts = {"delivered": self.delivered + succeeded, "abandoned": self.abandoned + abandoned}
        changes = {"failing_since": failing_since, "lanes": queues, "updated_at": now, **counts}
        return self.model_copy(update=changes)

    def resumed(self, at: datetime) -> Self:
        """Ignore failures before `at`, when the webhook was resumed; all queues are due then."""
        if self.failing_since is None or self.failing_since >= at:
            return self
        queues = [queue.model_copy(update={"due_at": at, "attempts": 0, "since": None}) for queue in self.lanes]
        return self.model_copy(update={"failing_since": None, "lanes": queues})

    def moved_back(self, offsets: Sequence[int]) -> Self:
        """Move the position back to these offsets, never forward; queues that start before it are kept."""
        lower = [min(pair) for pair in zip(self.offsets, offsets, strict=True)]
        earlier = [queue for queue in self.lanes if queue.offset < lower[queue.partition]]
        return self.model_copy(update={"offsets": lower, "lanes": earlier})

    def within(self, begins: Sequence[int], ends: Sequence[int]) -> Self:
        """Move positions that are outside of the topic to its beginning, and drop the queues outside of it."""
        positions = zip(self.offsets, begins, ends, strict=True)
        offsets = [at if begin <= at <= end else begin for at, begin, end in positions]
        queues = [queue for queue in self.lanes if begins[queue.partition] <= queue.offset < offsets[queue.partition]]
        return self.model_copy(update={"offsets": offsets, "lanes": queues})
