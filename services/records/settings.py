"""Settings of records."""

from pydantic import BaseModel, Field

from kit.http.quotas import QuotaSettings
from kit.settings import BlobSettings, ClientSettings, KeyRing, RetentionSettings, ServiceSettings


class SourceGrant(BaseModel):
    """Which API clients write a source's rows (their ids), and of which kinds of record; no kinds: of all."""

    clients: list[str]
    kinds: list[str] = []


class Quotas(QuotaSettings):
    """Of a person: records that are created, changed, deleted or checked. Rows of imports are not counted."""

    records_per_hour: int = Field(default=2_000, ge=1)
    records_per_day: int = Field(default=5_000, ge=1)


class Settings(ServiceSettings):
    """What imports need beside what every service does: `identity_url` is the API that knows whose a document is.

    `sources`: the name of a source → who writes it. A source that is named belongs to its clients alone, and a client
    that is named writes nothing else. Whatever is not named belongs, row by row, to the client that sent it first.
    """

    seal: KeyRing
    quotas: Quotas = Quotas()
    blobs: BlobSettings
    identity_url: str
    client: ClientSettings
    sources: dict[str, SourceGrant] = Field(default={})
    retention: RetentionSettings = RetentionSettings()
