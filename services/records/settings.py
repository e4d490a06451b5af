"""Settings of records."""

from pydantic import BaseModel, Field

from kit.http.quotas import QuotaSettings
from kit.settings import BlobSettings, ClientSettings, KeyRing, RetentionSettings, ServiceSettings


class SourceGrant(BaseModel):
    """Which API clients (ids) may import rows of a source, and of which kinds of record; no kinds: all."""

    clients: list[str]
    kinds: list[str] = []


class Quotas(QuotaSettings):
    """Quotas of one person: records created, changed, deleted, checked or disputed. Rows of imports don't count."""

    records_per_hour: int = Field(default=2_000, ge=1)
    records_per_day: int = Field(default=5_000, ge=1)


class Settings(ServiceSettings):
    """Settings of records beside those of every service; `identity_url`: the API that finds a document's owner.

    `sources`: the name of a source → the clients that may import its rows. Only these clients may import a listed
    source, and a listed client may import no other source. A row of an unlisted source belongs to the client that
    imported it first.
    """

    seal: KeyRing
    quotas: Quotas = Quotas()
    blobs: BlobSettings
    identity_url: str
    client: ClientSettings
    sources: dict[str, SourceGrant] = Field(default={})
    retention: RetentionSettings = RetentionSettings()
