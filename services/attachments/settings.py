"""Settings of attachments."""

from pydantic import Field

from kit.settings import BlobSettings, HttpSettings, KeyRing, RetentionSettings, ServiceSettings
from services.attachments.domain import Rules


class DoorSettings(HttpSettings):
    """As much as the gateway lets through: an upload that is too large is measured, and told so, by its own call."""

    max_body_bytes: int = 100 * 1000 * 1000


class Settings(ServiceSettings):
    """What attachments needs beside what every service does; `records_url` is the API of records.

    `seal` seals files in the bucket; `seal_files` is off only while processes of a version that can't open them run.
    Of two `sandboxes` one goes on while a hostile file keeps the other busy.
    """

    http: DoorSettings = DoorSettings()
    blobs: BlobSettings
    seal: KeyRing
    seal_files: bool = True
    retention: RetentionSettings = RetentionSettings()
    rules: Rules = Rules()
    records_url: str
    sandboxes: int = Field(default=2, ge=1)
