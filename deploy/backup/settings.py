"""Settings of the backup's commands, from the environment and from files in a secrets directory."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field
from pydantic_settings import SettingsConfigDict

from kit.core.clock import SHANGHAI
from kit.settings import BlobSettings, InternalSettings, KafkaSettings, Key, MongoSettings, SettingsWithTls

Count = Annotated[int, Field(ge=0)]


class BulkMongoSettings(MongoSettings):
    """Reads and writes of many documents at once take long on a busy server: an operation may take a minute."""

    timeout_ms: int = 60_000


class Source(BlobSettings):
    """The account that reads all buckets; a bucket has its service's name unless `buckets` has another."""

    bucket: str = ""
    buckets: dict[str, str] = Field(default={})

    def of(self, service: str) -> BlobSettings:
        """The settings of a service's bucket."""
        return self.model_copy(update={"bucket": self.buckets.get(service, service)})


class Destination(BaseModel):
    """Where backups are kept: a folder, or a bucket if one is set. `key` signs manifests: 32 random bytes in base64."""

    folder: Path = Path("/backup")
    bucket: BlobSettings | None = None
    key: Key = Field(repr=False)


class Keep(BaseModel):
    """How many dumps are kept: the latest, and the newest of each of the last days, weeks and months that have any."""

    latest: int = Field(default=3, ge=1)
    daily: Count = 7
    weekly: Count = 4
    monthly: Count = 12


class BackupSettings(Destination):
    """`recipients`: public keys of age. A dump is due every `every_hours`, from `from_hour` of Shanghai's day on."""

    recipients: list[str] = Field(min_length=1)
    every_hours: int = Field(default=24, ge=1, le=24)
    from_hour: int = Field(default=2, ge=0, le=23)
    keep: Keep = Keep()

    def due(self, now: datetime) -> datetime:
        """The latest time at which a dump was due."""
        begin = now.astimezone(SHANGHAI).replace(hour=self.from_hour, minute=0, second=0, microsecond=0)
        if begin > now:
            begin -= timedelta(days=1)
        every = timedelta(hours=self.every_hours)
        return (begin + (now - begin) // every * every).astimezone(UTC)


class _Base(SettingsWithTls):
    model_config = SettingsConfigDict(extra="ignore", frozen=True)


class DumpSettings(_Base):
    """Reads `MONGO`, `BLOBS`; writes where `BACKUP` says. `INTERNAL`: where the schedule shows its metrics."""

    mongo: BulkMongoSettings
    blobs: Source
    backup: BackupSettings
    internal: InternalSettings = InternalSettings()
    log_level: str = "INFO"


class DestinationSettings(_Base):
    """What checking and listing need."""

    backup: Destination


class RestoreSettings(_Base):
    """Writes to `MONGO` (all databases) and `BLOBS` (all buckets), and resets groups at `KAFKA`."""

    mongo: BulkMongoSettings
    blobs: Source
    kafka: KafkaSettings
    backup: Destination
