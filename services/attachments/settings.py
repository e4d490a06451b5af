"""Settings of attachments."""

from pydantic import Field

from kit.http.quotas import QuotaSettings
from kit.settings import BlobSettings, HttpSettings, KeyRing, RetentionSettings, ServiceSettings
from services.attachments.domain import Rules


class ApiSettings(HttpSettings):
    """HTTP limits: bodies as large as the gateway allows, so that the upload route refuses a large file with 413."""

    max_body_bytes: int = 100 * 1000 * 1000


class Quotas(QuotaSettings):
    """Quotas of one person; `uploads_at_once`: scans that wait for their check, and uploads within ten seconds."""

    uploads_at_once: int = Field(default=20, ge=1)
    uploads_per_hour: int = Field(default=300, ge=1)
    uploads_per_day: int = Field(default=1_000, ge=1)
    downloads_per_hour: int = Field(default=5_000, ge=1)
    downloads_per_day: int = Field(default=20_000, ge=1)


class Settings(ServiceSettings):
    """Settings of attachments beside those of every service; `records_url`: the API of records.

    `seal`: the keys of the files in the bucket; `seal_files`: off only while processes of a release that cannot decrypt
    files are running. With two `sandboxes`, one is free while a hostile file occupies the other. `corrections`: photos
    that an api corrects at a time.
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
    corrections: int = Field(default=1, ge=1)
