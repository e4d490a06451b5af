"""Settings of the portal."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from kit.formats.pdf import FontSettings
from kit.http.quotas import QuotaSettings
from kit.settings import HttpSettings, KafkaSettings, KeyRing, ProcessSettings

ServiceName = Literal["identity", "records", "attachments", "signature", "notify"]


class ApiSettings(HttpSettings):
    """As much as the gateway lets through: what is too large is measured, and refused by a page, when it arrived."""

    max_body_bytes: int = 100 * 1000 * 1000


class SessionSettings(BaseModel):
    """How long what was typed waits for its person to log in again.

    `fresh_seconds`: for how long a code counts as a fresh proof, as at the services (TOKENS__FRESH_SECONDS).
    """

    draft_seconds: int = 2 * 3600
    fresh_seconds: int = 600


class Quotas(QuotaSettings):
    """Of a person: all their data as ZIP, JSON or PDF."""

    exports_per_hour: int = Field(default=30, ge=1)
    exports_per_day: int = Field(default=100, ge=1)


class Settings(ProcessSettings):
    """What the portal needs beside what every process does: the addresses of the services, keys for what it keeps.

    For operators: where every process shows its health (`processes`, by name), and where the dead letters lie.
    For windows: the origin of the card reader's agent on a clerk's machine, where there are readers.
    """

    http: ApiSettings = ApiSettings()
    quotas: Quotas = Quotas()
    services: dict[ServiceName, str]
    seal: KeyRing
    sessions: SessionSettings = SessionSettings()
    fonts: FontSettings = FontSettings()
    processes: dict[str, str]
    kafka: KafkaSettings
    reader_origin: Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:\d{1,5})?$")] | None = None
