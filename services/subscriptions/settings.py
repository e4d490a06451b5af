"""Settings of subscriptions."""

from pydantic import BaseModel, Field

from kit.settings import HttpSettings, KeyRing, ServiceSettings

MAX_WAIT = 30
"""Seconds for which a reader may ask to wait for a change."""


class ApiSettings(HttpSettings):
    """Most requests wait for a change, and nothing is done for them meanwhile."""

    concurrency: int = Field(default=1000, ge=1)


class FeedSettings(BaseModel):
    """The feed of changes, in each api process.

    `memory_bytes`: of the newest events; `readers`: of Kafka, for who is further behind; `polls`: at once, by client.
    """

    memory_bytes: int = 32 * 1024 * 1024
    readers: int = 4
    polls: int = 10


class WebhookSettings(BaseModel):
    """How webhooks are called.

    `pauses`: seconds before each further try, the last one over and over, until `give_up_seconds` after the first.
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
    """What subscriptions needs beside what every service does."""

    http: ApiSettings = ApiSettings()
    seal: KeyRing
    feed: FeedSettings = FeedSettings()
    webhooks: WebhookSettings = WebhookSettings()
