"""Settings of attachments."""

from pydantic import Field

from kit.http.quotas import QuotaSettings
from kit.settings import BlobSettings, HttpSettings, KeyRing, RetentionSettings, ServiceSettings
from services.attachments.domain import Rules


class ApiSettings(HttpSettings):
    """As much as the gateway lets through: an upload that is too large is measured, and told so, by its own call."""

    max_body_bytes: int = 100 * 1000 * 1000


class Quotas(QuotaSettings):
    """Of a person; `uploads_at_once`: scans that wait for their check, and uploads within ten seconds."""

    uploads_at_once: int = Field(default=20, ge=1)
    uploads_per_hour: int = Field(default=300, ge=1)
    uploads_per_day: int = Field(default=1_000, ge=1)
    downloads_per_hour: int = Field(default=5_000, ge=1)
    downloads_per_day: int = Field(default=20_000, ge=1)


class Settings(ServiceSettings):
    """What attachments needs beside what every service does; `records_url` is the API of records.

    `seal` seals files in the bucket; `seal_files` is off only while processes of a version that can't open them run.
    Of two `sandboxes` one goes on while a hostile file keeps the other busy.
    """

    http: ApiSettings = ApiSettings()
    quotas: Quotas = Quotas()
    blobs: BlobSettings
    seal: KeyRing
    seal_files: bool = True
    retention: RetentionSettings = RetentionSettings()
    rules: Rules = Rules()
    records_url: str
    sandboxes: int = Field(default=2, ge=1)
