"""Settings of signature."""

from pydantic import BaseModel, Field

from kit.formats.pdf import FontSettings
from kit.http.quotas import QuotaSettings
from kit.settings import BlobSettings, EncryptionSettings, HttpSettings, RetentionSettings, ServiceSettings
from services.signature.domain import Rules


class ApiSettings(HttpSettings):
    """As much as the gateway lets through: an upload that is too large is measured, and told so, by its own call."""

    max_body_bytes: int = 12 * 1024 * 1024


class SheetSettings(BaseModel):
    """How long a printed form may come back."""

    lifetime_days: int = Field(default=180, ge=1)


class Quotas(QuotaSettings):
    """Of a person; exports are forms that are made and printed."""

    uploads_per_hour: int = Field(default=300, ge=1)
    uploads_per_day: int = Field(default=1_000, ge=1)
    downloads_per_hour: int = Field(default=5_000, ge=1)
    downloads_per_day: int = Field(default=20_000, ge=1)
    exports_per_hour: int = Field(default=30, ge=1)
    exports_per_day: int = Field(default=100, ge=1)


class Settings(ServiceSettings):
    """What signature needs beside what every service does; `identity_url` is the API of identity.

    The seal's keys seal document numbers, and files in the bucket; its index key also makes the codes that only we can
    print. `seal_files` is off only while processes of a version that can't open sealed files run.
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
