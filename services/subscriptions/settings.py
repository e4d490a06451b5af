"""Settings of subscriptions."""

from pydantic import BaseModel, Field

from kit.settings import HttpSettings, KeyRing, ServiceSettings

MAX_WAIT = 30
"""The longest `wait` of a request to the change feed, in seconds."""


class ApiSettings(HttpSettings):
    """HTTP limits: many concurrent requests, because most only wait for the next event."""

    concurrency: int = Field(default=1000, ge=1)


class FeedSettings(BaseModel):
    """The change feed, in each api process.

    `memory_bytes`: size of the newest events in memory; `readers`: Kafka readers for older events; `polls`: concurrent
    requests of one client.
    """

    memory_bytes: int = 32 * 1024 * 1024
    readers: int = 4
    polls: int = 10


class WebhookSettings(BaseModel):
    """Delivery to webhooks.

    `pauses`: seconds before each further attempt, the last one repeated, until `give_up_seconds` after the first.
    """

    per_client: int = 20
    connect_seconds: float = 5.0
    answer_seconds: float = 15.0
    at_once: int = 16
    pauses: tuple[float, ...] = Field((1, 5, 30, 120, 600, 1800, 3600), min_length=1)
    give_up_seconds: float = 24 * 3600.0
    old_secret_seconds: float = 24 * 3600.0
    tests_at_once: int = 4


class Settings(ServiceSettings):
    """Settings of subscriptions beside those of every service."""

    http: ApiSettings = ApiSettings()
    seal: KeyRing
    feed: FeedSettings = FeedSettings()
    webhooks: WebhookSettings = WebhookSettings()
