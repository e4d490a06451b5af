"""Settings of signature."""

from pydantic import BaseModel, Field

from kit.formats.pdf import FontSettings
from kit.http.quotas import QuotaSettings
from kit.settings import BlobSettings, EncryptionSettings, HttpSettings, RetentionSettings, ServiceSettings
from services.signature.domain import Rules


class ApiSettings(HttpSettings):
    """HTTP limits: bodies as large as the gateway allows, so that the upload route refuses a large file with 413."""

    max_body_bytes: int = 12 * 1024 * 1024


class SheetSettings(BaseModel):
    """How long a signature sheet may be uploaded after it was made."""

    lifetime_days: int = Field(default=180, ge=1)


class Quotas(QuotaSettings):
    """Quotas of one person; exports are signature sheets that are made or downloaded as PDF."""

    uploads_per_hour: int = Field(default=300, ge=1)
    uploads_per_day: int = Field(default=1_000, ge=1)
    downloads_per_hour: int = Field(default=5_000, ge=1)
    downloads_per_day: int = Field(default=20_000, ge=1)
    exports_per_hour: int = Field(default=30, ge=1)
    exports_per_day: int = Field(default=100, ge=1)


class Settings(ServiceSettings):
    """Settings of signature beside those of every service; `identity_url`: the API of identity.

    `seal`: the keys of document numbers and of the files in the bucket; its index key also authenticates the QR codes
    of signature sheets. `seal_files`: off only while processes of a release that cannot decrypt files are running.
    """

    http: ApiSettings = ApiSettings()
    quotas: Quotas = Quotas()
    blobs: BlobSettings
    retention: RetentionSettings = RetentionSettings()
    seal: EncryptionSettings
    seal_files: bool = True
    fonts: FontSettings = FontSettings()
    forms: SheetSettings = SheetSettings()
    rules: Rules = Rules()
    identity_url: str
