"""Settings: read once at start from the environment (`MONGO__URL=…`) or from files in a secrets directory."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar
from urllib.parse import urljoin

from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

S = TypeVar("S", bound=BaseSettings)


class HttpSettings(BaseModel):
    """Where the public API of a service listens (behind the gateway), and the limits of its requests.

    `timeout_seconds`: for the next bytes of a body, for a response to begin, for the client to read its next piece; at
    the least rate a client always has this long. Requests handled at once: between `least_concurrency` and
    `concurrency`, so many that their mean time is `target_seconds`; `open_requests`: the most with those that wait for
    their client. `overload_status`: of a refusal because there are too many; a gateway can tell it from another 503.
    `spool_…`: files that are being uploaded, in all requests.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 1024 * 1024
    timeout_seconds: float = Field(default=30, gt=0)
    least_bytes_per_second: int = Field(default=8_000, ge=1)
    target_seconds: float = Field(default=0.5, gt=0)
    least_concurrency: int = Field(default=4, ge=1)
    concurrency: int = Field(default=200, ge=1)
    open_requests: int = Field(default=1000, ge=1)
    overload_status: int = Field(default=503, ge=500, le=599)
    spool_files: int = Field(default=32, ge=1)
    spool_bytes: int = Field(default=48 * 1024 * 1024, ge=1)
    trusted_proxies: str = "127.0.0.1"


class InternalSettings(BaseModel):
    """Where a process shows health and metrics; never routed by the gateway."""

    host: str = "127.0.0.1"
    port: int = 9000


class TlsSettings(BaseModel):
    """PEM files. `ca`: the authorities whose certificates are accepted from servers and other services.

    `certificate` (with its chain) and `key`: this process's own, for its API and its internal port. Files that are
    renewed are used for new connections within a minute, those of `ca` after a restart.
    """

    ca: FilePath | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("CERTIFICATE and KEY are set together")
        return self


class ServerSettings(BaseModel):
    """A server that processes connect to. With `ca` the connection is encrypted and the server's certificate verified.

    `ca` is that of `TlsSettings` unless the server has another one.
    """

    ca: FilePath | None = None


class MongoSettings(ServerSettings):
    """The service's database; its name is the service's name. User and password are in the URL."""

    url: SecretStr
    database: str = ""
    timeout_ms: int = 5_000
    pool_size: int = 50


class KafkaSettings(ServerSettings):
    """The brokers, and the limits that all clients share. `user`: logs in with SCRAM-SHA-512, over TLS only.

    `fetch_wait_ms`: how long a broker holds a consumer's request for events while there are none. A longer time costs
    brokers and consumers less at rest; other requests on the same connection, as after a rebalance, wait as long.
    `transaction_seconds`: for one transaction of a publisher, and for the start of its producer. A broker that is lost
    is replaced sooner, but the client doesn't always notice: then it begins anew after this time.
    """

    servers: str
    user: str = ""
    password: SecretStr = SecretStr("")
    partitions: int = 24
    session_timeout_ms: int = 45_000
    fetch_wait_ms: int = 1_000
    call_timeout_seconds: float = 15
    transaction_seconds: float = Field(default=6, gt=0)
    stall_seconds: float = 60


class RedisSettings(ServerSettings):
    """Sessions, rate limits, captcha answers; `connections`: the limit of each of a process's two pools.

    User and password are in the URL.
    """

    url: SecretStr
    timeout_seconds: float = 0.5
    connections: int = Field(default=50, ge=1)


class BlobSettings(ServerSettings):
    """The service's bucket at any S3 server; `endpoint` is a URL, with the scheme https TLS is used."""

    endpoint: str
    access_key: SecretStr
    secret_key: SecretStr
    bucket: str
    region: str = "us-east-1"
    connect_seconds: float = 2
    read_seconds: float = 10
    call_seconds: float = 12
    connections: int = 8


class TokenSettings(ServerSettings):
    """How access tokens are checked; `fresh_seconds`: how long an authentication by code counts as recent."""

    issuer: str
    audience: str
    jwks_url: str
    fresh_seconds: int = Field(default=600, ge=60)

    @property
    def erased_url(self) -> str:
        """The issuer's public address that answers whether a person is erased (`…/<id>`): beside its keys."""
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
    """Keys for data at rest: the ring encrypts fields, the index key makes blind indexes."""

    index_key: Key = Field(repr=False)


class ClientSettings(BaseModel):
    """A service's own credentials, for calls on its own behalf: an API client of the token issuer."""

    id: str
    secret: SecretStr


class RetentionSettings(BaseModel):
    """After how many days deleted documents are purged; never if null. `by_kind`: other numbers of days, by kind."""

    deleted_days: int | None = Field(default=3 * 365, ge=1)
    by_kind: dict[str, Annotated[int, Field(ge=1)] | None] = {}


class TracingSettings(ServerSettings):
    """Where traces go: an OTLP/HTTP collector's URL, like `https://collector:4318`; empty: tracing is off.

    `share`: of the requests that are recorded; a request with a `traceparent` carries the decision.
    """

    endpoint: str = ""
    share: float = Field(default=0.05, ge=0, le=1)


def secret_folders() -> list[Path] | None:
    """The folders of `SECRETS_DIR`, separated by colons: a service's own secrets, and those of one of its processes."""
    return [Path(folder) for folder in os.environ.get("SECRETS_DIR", "").split(":") if folder] or None


class SettingsWithTls(BaseSettings):
    """Settings whose servers (`ServerSettings`) have the CA of `tls`, unless they have their own."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", secrets_dir=secret_folders())

    tls: TlsSettings = TlsSettings()

    @model_validator(mode="after")
    def _same_ca(self) -> Self:
        for name in type(self).model_fields:
            server = getattr(self, name)
            if isinstance(server, ServerSettings):
                server.ca = server.ca or self.tls.ca
        return self


class ProcessSettings(SettingsWithTls):
    """Settings of every process; a service without a database needs no others.

    Only `local` processes may do without TLS. `BROWSERS`: settings with addresses that only browsers use.
    """

    model_config = SettingsConfigDict(frozen=True)
    BROWSERS: ClassVar[frozenset[str]] = frozenset()

    environment: Literal["local", "staging", "production"] = "production"
    instance: str = Field(default_factory=lambda: os.environ.get("HOSTNAME", "0"))
    log_level: str = "INFO"
    http: HttpSettings = HttpSettings()
    internal: InternalSettings = InternalSettings()
    tracing: TracingSettings = TracingSettings()
    redis: RedisSettings

    @model_validator(mode="after")
    def _closed(self) -> Self:
        if self.environment == "local":
            return self
        if not (self.tls.ca and self.tls.certificate):
            raise ValueError("TLS__CA, TLS__CERTIFICATE and TLS__KEY are required unless ENVIRONMENT is local")
        plaintext = [name for name in _plaintext(self) if name not in self.BROWSERS]
        if plaintext:
            raise ValueError(f"https:// is required unless ENVIRONMENT is local: {', '.join(plaintext).upper()}")
        return self


def _plaintext(settings: BaseModel | Mapping[str, object]) -> Iterator[str]:
    """The names of http:// addresses."""
    for name, value in settings.items() if isinstance(settings, Mapping) else settings:
        if isinstance(value, BaseModel | Mapping):
            yield from (f"{name}__{inner}" for inner in _plaintext(value))
        elif isinstance(value, str) and value.startswith("http://"):
            yield name


class ServiceSettings(ProcessSettings):
    """Settings of a service with a database and topics; each service derives its own."""

    BROWSERS = frozenset({"tokens__audience"})

    mongo: MongoSettings
    kafka: KafkaSettings
    tokens: TokenSettings


class ToolSettings(SettingsWithTls):
    """What the command-line tools read: `TLS__CA`, `KAFKA__SERVERS`, `KAFKA__USER`, `KAFKA__PASSWORD` and others."""

    model_config = SettingsConfigDict(extra="ignore")

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
