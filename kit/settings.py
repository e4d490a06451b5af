"""Settings: read once at start from the environment (`MONGO__URL=…`) or from files in a secrets directory."""

import os
import sys
from typing import Annotated, Literal, TypeVar
from urllib.parse import urljoin

from pydantic import AfterValidator, Base64Bytes, BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

S = TypeVar("S", bound=BaseSettings)


class HttpSettings(BaseModel):
    """Where the public API of a service listens (behind the gateway), and what requests may take of its process.

    `timeout_seconds`: for the next bytes of a body, for an answer to begin, for the next piece of one to be taken; who
    sends or reads at the least rate has always so long. `concurrency`: requests worked on at once; `open_requests`:
    with those whose client is waited for. `spool_…`: of files on their way in, all of them together.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 1024 * 1024
    timeout_seconds: float = Field(default=30, gt=0)
    least_bytes_per_second: int = Field(default=8_000, ge=1)
    concurrency: int = Field(default=200, ge=1)
    open_requests: int = Field(default=1000, ge=1)
    spool_files: int = Field(default=32, ge=1)
    spool_bytes: int = Field(default=48 * 1024 * 1024, ge=1)
    trusted_proxies: str = "127.0.0.1"


class InternalSettings(BaseModel):
    """Where a process shows health and metrics; never routed by the gateway."""

    host: str = "127.0.0.1"
    port: int = 9000


class MongoSettings(BaseModel):
    """The service's database; its name is the service's name."""

    url: SecretStr
    database: str = ""
    timeout_ms: int = 5_000
    pool_size: int = 50


class KafkaSettings(BaseModel):
    """The broker, and the limits that all clients share."""

    servers: str
    partitions: int = 24
    session_timeout_ms: int = 45_000
    call_timeout_seconds: float = 15
    stall_seconds: float = 60


class RedisSettings(BaseModel):
    """Sessions, rate limits, captcha answers; `connections`: of a process at most, of each of its two pools."""

    url: SecretStr
    timeout_seconds: float = 0.5
    connections: int = Field(default=50, ge=1)


class BlobSettings(BaseModel):
    """The service's bucket at any S3 server; `endpoint` is a URL, its scheme says whether TLS is spoken."""

    endpoint: str
    access_key: SecretStr
    secret_key: SecretStr
    bucket: str
    region: str = "us-east-1"
    connect_seconds: float = 2
    read_seconds: float = 10
    call_seconds: float = 12
    connections: int = 8


class TokenSettings(BaseModel):
    """How access tokens are checked; for how long a practitioner's last code counts as a fresh proof."""

    issuer: str
    audience: str
    jwks_url: str
    fresh_seconds: int = Field(default=600, ge=60)

    @property
    def erased_url(self) -> str:
        """Where the issuer answers whether it erased a person (`…/<id>`): beside its keys, and as public."""
        return urljoin(self.jwks_url, "erased")


def _strong(key: bytes) -> bytes:
    if len(key) != 32 or len(set(key)) < 12:
        raise ValueError("a key is 32 random bytes in base64: openssl rand -base64 32")
    return key


Key = Annotated[Base64Bytes, AfterValidator(_strong)]


class KeyRing(BaseModel):
    """Keys by id; `current` encrypts, all of them decrypt."""

    keys: dict[str, Key] = Field(repr=False)
    current: str


class EncryptionSettings(KeyRing):
    """Keys at rest: the ring seals fields, the index key makes blind indexes."""

    index_key: Key = Field(repr=False)


class ClientSettings(BaseModel):
    """A service's own credentials, for calls on its own behalf: an API client of the token issuer."""

    id: str
    secret: SecretStr


class RetentionSettings(BaseModel):
    """After how many days deleted documents are removed permanently; never where it is null.

    `by_kind`: other numbers of days, for documents of these kinds.
    """

    deleted_days: int | None = Field(default=3 * 365, ge=1)
    by_kind: dict[str, Annotated[int, Field(ge=1)] | None] = {}


class TracingSettings(BaseModel):
    """Where traces go: an OTLP/HTTP collector's URL, like `http://collector:4318`; empty: nothing is traced.

    `share` of the requests are recorded; who asks with a `traceparent` has decided for theirs.
    """

    endpoint: str = ""
    share: float = Field(default=0.05, ge=0, le=1)


class ProcessSettings(BaseSettings):
    """What every process reads; a service that keeps nothing itself needs no more."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", secrets_dir=os.environ.get("SECRETS_DIR") or None, frozen=True
    )

    environment: Literal["local", "staging", "production"] = "production"
    instance: str = Field(default_factory=lambda: os.environ.get("HOSTNAME", "0"))
    log_level: str = "INFO"
    http: HttpSettings = HttpSettings()
    internal: InternalSettings = InternalSettings()
    tracing: TracingSettings = TracingSettings()
    redis: RedisSettings


class ServiceSettings(ProcessSettings):
    """What a service with a database and topics reads; its own settings add to it."""

    mongo: MongoSettings
    kafka: KafkaSettings
    tokens: TokenSettings


class ToolSettings(BaseSettings):
    """What the command-line tools read: `KAFKA__SERVERS`, `KAFKA__PARTITIONS`."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="ignore")

    kafka: KafkaSettings
    kafka_replication: int = 1


def read(settings: type[S]) -> S:
    """The settings of a process; when some are missing or wrong it ends, with a line for each and without its value."""
    try:
        return settings()
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        wrong = [f"  {'__'.join(map(str, each['loc'])).upper() or 'together'}: {each['msg']}" for each in found]
    except SettingsError as error:
        wrong = [f"  {error}"]
    sys.exit("\n".join(["settings are missing or wrong (docs/deployment.md lists them):", *wrong]))
