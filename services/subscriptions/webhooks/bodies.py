"""Bodies of requests and responses about webhooks."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from kit.core.text import Text
from kit.http.routes import UUID_PATTERN, In, Out
from services.subscriptions.domain import Moment
from services.subscriptions.webhooks.domain import (
    MAX_PERSON_QUEUES,
    Answer,
    Delivery,
    Outcome,
    Progress,
    Reason,
    Replay,
    State,
    Webhook,
    WebhookDraft,
)


def _none_for_empty(value: object) -> object:
    return None if value == "" else value


Kind = Annotated[str, Field(pattern=r"^[a-z_]{1,50}$")]
Kinds = Annotated[list[Kind], Field(min_length=1, max_length=20)]


class WebhookChange(In):
    """Where to deliver, and which events: of records of these `kinds`; null: of all."""

    url: str = Field(max_length=2_000)
    kinds: Kinds | None = None
    description: Annotated[Annotated[str, Text(200)] | None, BeforeValidator(_none_for_empty)] = None

    def draft(self) -> WebhookDraft:
        """The data in the format of the service."""
        return WebhookDraft(self.url, self.kinds or [], self.description or "")


class NewWebhook(WebhookChange):
    """A webhook to be registered, for all events from now on, or from `since` on."""

    since: Moment | None = None


class NewReplay(In):
    """The events to deliver again: all since a time, those of one person, or both."""

    since: Moment | None = None
    practitioner_id: Annotated[str, Field(pattern=UUID_PATTERN)] | None = None


class ProgressOut(Out):
    """The progress of a webhook. `people_waiting`: whose events are retried; at `most_waiting` all events wait."""

    failing_since: datetime | None
    people_waiting: int
    most_waiting: int
    delivered: int
    abandoned: int
    updated_at: datetime

    @classmethod
    def of(cls, progress: Progress) -> "ProgressOut":
        """Make it from the stored progress."""
        waiting = sum(queue.since is not None for queue in progress.lanes)
        return cls.model_validate(
            {**progress.model_dump(), "people_waiting": waiting, "most_waiting": MAX_PERSON_QUEUES}
        )


class WebhookOut(Out):
    """A webhook, without its secret."""

    webhook_id: str
    client_id: str
    url: str
    kinds: list[str] | None
    description: str
    state: State
    reason: Reason | None
    since: datetime
    old_secret_until: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookOut":
        """Make it from the document."""
        return cls.model_validate(_fields(webhook))


class WebhookWithSecret(WebhookOut):
    """A webhook with its secret, which is returned only once."""

    secret: str

    @classmethod
    def with_secret(cls, webhook: Webhook, secret: str) -> "WebhookWithSecret":
        """Make it from the document."""
        return cls.model_validate({**_fields(webhook), "secret": secret})


class WebhookWithProgress(WebhookOut):
    """A webhook with its progress, null before a worker has started it.

    `suspended`: its client is disabled or has lost the scope; delivery continues when the client has it again.
    """

    progress: ProgressOut | None
    suspended: bool

    @classmethod
    def with_progress(cls, webhook: Webhook, progress: Progress | None, *, suspended: bool) -> "WebhookWithProgress":
        """Make it from both documents."""
        progress_out = ProgressOut.of(progress) if progress else None
        return cls.model_validate({**_fields(webhook), "progress": progress_out, "suspended": suspended})


def _fields(webhook: Webhook) -> dict[str, object]:
    return {**webhook.model_dump(exclude={"history"}), "webhook_id": webhook.id, "kinds": webhook.kinds or None}


class TestOut(Out):
    """The result of a test event."""

    delivered: bool
    status: int | None
    error: str | None
    milliseconds: int

    @classmethod
    def of(cls, answer: Answer) -> "TestOut":
        """Make it from the receiver's answer."""
        return cls(delivered=answer.ok, status=answer.status, error=answer.error, milliseconds=answer.milliseconds)


class ReplayOut(Out):
    """A requested replay; it begins within seconds, or when the webhook is resumed."""

    replay_id: str
    since: datetime | None
    practitioner_id: str | None

    @classmethod
    def of(cls, replay: Replay) -> "ReplayOut":
        """Make it from the document."""
        return cls(replay_id=replay.id, since=replay.since, practitioner_id=replay.person)


class DeliveryOut(Out):
    """One attempt to deliver an event."""

    delivery_id: str
    event_id: str
    event_type: str
    practitioner_id: str
    outcome: Outcome
    attempt: int
    status: int | None
    error: str | None
    milliseconds: int
    at: datetime

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryOut":
        """Make it from the document."""
        return cls.model_validate({**delivery.model_dump(), "delivery_id": delivery.id, "at": delivery.created_at})
