"""Settings of the portal."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from kit.formats.pdf import FontSettings
from kit.http.quotas import QuotaSettings
from kit.settings import HttpSettings, KafkaSettings, KeyRing, ProcessSettings

ServiceName = Literal["identity", "records", "attachments", "signature", "notify"]


class ApiSettings(HttpSettings):
    """The limit of the gateway: a form that is too large is refused with a page instead of a bare error."""

    max_body_bytes: int = 100 * 1000 * 1000


class SessionSettings(BaseModel):
    """How long drafts are kept, and how long an authentication counts as recent.

    `fresh_seconds` must equal TOKENS__FRESH_SECONDS of the services.
    """

    draft_seconds: int = 2 * 3600
    fresh_seconds: int = 600


class WaitingRoomSettings(BaseModel):
    """How many people a second may begin to log in: at the start, at least, at most; between them the portal decides.

    `place_seconds`: how long a place is kept for a browser that does not look.
    """

    start: float = Field(default=20, gt=0)
    least: float = Field(default=1, gt=0)
    most: float = Field(default=200, gt=0)
    place_seconds: int = Field(default=1800, ge=60)


class Quotas(QuotaSettings):
    """Quotas per person for exports as ZIP, JSON or PDF."""

    exports_per_hour: int = Field(default=30, ge=1)
    exports_per_day: int = Field(default=100, ge=1)


class Settings(ProcessSettings):
    """Settings of the portal beside those of every process.

    `services`: addresses by name. `seal`: encryption keys for Redis. `processes`: addresses of internal ports by name,
    for the dashboard; `kafka` for its dead letters. `reader_origin`: the card reader's agent on a clerk's machine.
    """

    BROWSERS = frozenset({"reader_origin"})

    http: ApiSettings = ApiSettings()
    quotas: Quotas = Quotas()
    services: dict[ServiceName, str]
    seal: KeyRing
    sessions: SessionSettings = SessionSettings()
    waiting_room: WaitingRoomSettings = WaitingRoomSettings()
    fonts: FontSettings = FontSettings()
    processes: dict[str, str]
    kafka: KafkaSettings
    reader_origin: Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:\d{1,5})?$")] | None = None
