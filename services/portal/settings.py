"""Settings of the portal."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AnyUrl, BaseModel, BeforeValidator, ConfigDict, Field, UrlConstraints, ValidationError
from pydantic_settings import NoDecode

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


class ServiceWindow(BaseModel):
    """A window that people come to. `serves`: resident identity cards, by card reader, or the other documents."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, str_min_length=1)

    name: str
    serves: Annotated[tuple[Literal["cards", "documents"], ...], Field(min_length=1)]
    district: str
    address: str
    hours: str
    phone: Annotated[str, Field(pattern=r"^\+?[0-9][0-9 -]+[0-9]$")]
    map: Annotated[AnyUrl, UrlConstraints(allowed_schemes=["https"], host_required=True)]


def read_windows(path: str) -> list[ServiceWindow]:
    """The windows of a YAML file (deploy/windows.yaml). Raises `ValueError`, which names the first wrong entry."""
    try:
        entries = yaml.safe_load(Path(path).read_text("utf-8")) or []
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(entries, list):
        raise ValueError(f"{path} is not a list of windows")
    return [_window(number, entry) for number, entry in enumerate(entries, 1)]


def _window(number: int, entry: object) -> ServiceWindow:
    try:
        return ServiceWindow.model_validate(entry)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ValueError(f"window {number}: {'; '.join(wrong)}") from error


Windows = Annotated[
    tuple[ServiceWindow, ...] | None, NoDecode, BeforeValidator(read_windows), Field(validate_default=False)
]
"""The windows of the file whose path is set."""


class Settings(ProcessSettings):
    """Settings of the portal beside those of every process.

    `services`: addresses by name. `seal`: encryption keys for Redis. `processes`: addresses of internal ports by name,
    for the dashboard; `kafka` for its dead letters. `reader_origin`: the card reader's agent on a clerk's machine.
    `windows`: the file of the windows that the help page lists.
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
    windows: Windows = None
