"""Settings of records."""

from kit.settings import BlobSettings, ClientSettings, KeyRing, RetentionSettings, ServiceSettings


class Settings(ServiceSettings):
    """What imports need beside what every service does: `identity_url` is the API that knows whose a document is."""

    seal: KeyRing
    blobs: BlobSettings
    identity_url: str
    client: ClientSettings
    retention: RetentionSettings = RetentionSettings()
