"""TLS of the kit's clients and ports, on real servers of its own: the right authority, a wrong one, plaintext."""

import asyncio
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from aiokafka.conn import create_conn
from prometheus_client import REGISTRY
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from deploy.access.authority import Authority
from deploy.local.servers import mongod
from kit import kafka, mongo
from kit.core.clock import SystemClock
from kit.core.errors import Unavailable, cause_of
from kit.files import blobs
from kit.http.service_client import ServiceClient, http_client
from kit.kafka.connections import options
from kit.privacy.erasure import confirmed_over_http
from kit.redis import RedisServer, Rule
from kit.runtime import health
from kit.runtime.process import http_server
from kit.runtime.tls import ServerCertificate, client_context
from kit.security.tokens import TokenVerifier, jwks_over_http
from kit.settings import (
    BlobSettings,
    InternalSettings,
    KafkaSettings,
    KeyRing,
    MongoSettings,
    ProcessSettings,
    RedisSettings,
    ServiceSettings,
    TlsSettings,
    TokenSettings,
    ToolSettings,
    read,
)
from services.portal.operations.process_status import read_status
from tests.support.processes import free_port
from tests.support.waiting import eventually

HOST = "127.0.0.1"
NAME = "localhost"


class Erased(BaseModel):
    erased: bool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of an authority for `localhost` only, and another authority."""
    folder = tmp_path_factory.mktemp("tls")
    Authority.in_folder(folder).issue("server", [NAME], folder)
    Authority.in_folder(folder / "other")
    return folder


@pytest.fixture(scope="module")
def ca(folder: Path) -> Path:
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def wrong(folder: Path) -> Path:
    return folder / "other" / "ca.pem"


@contextmanager
def program(command: Sequence[str | Path]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def redis(folder: Path) -> Iterator[str]:
    """The address of a Redis that speaks only TLS."""
    port = free_port()
    files = {"tls-cert-file": "server.pem", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.pem"}
    options: list[str | Path] = [part for name, file in files.items() for part in (f"--{name}", folder / file)]
    off = ["--port", "0", "--tls-auth-clients", "no", "--save", ""]
    with program(["redis-server", "--tls-port", str(port), *off, *options]):
        yield f"{NAME}:{port}"


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[str]:
    """The address of a MongoDB that speaks only TLS."""
    port, data = free_port(), folder / "mongo"
    data.mkdir()
    secured: list[str | Path] = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", folder / "server.both.pem"]
    secured += ["--tlsCAFile", folder / "ca.pem", "--tlsAllowConnectionsWithoutCertificates"]
    small: list[str | Path] = ["--wiredTigerCacheSizeGB", "0.25", "--nounixsocket", "--logpath", folder / "mongo.log"]
    with program([mongod(), "--port", str(port), "--bind_ip", HOST, "--dbpath", data, *small, *secured]):
        yield f"{NAME}:{port}"


async def slow(_request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"piece"
            await asyncio.sleep(0.2)

    return StreamingResponse(pieces())


async def erased(_request: Request) -> Response:
    return JSONResponse({"erased": True, "keys": []})


class Port:
    """A port of a process, as the kit opens it, at `localhost`."""

    def __init__(self, folder: Path) -> None:
        self.number = free_port()
        self.files = folder / "server.pem", folder / "server.key"
        self.certificate = ServerCertificate(*self.files)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.number}"

    async def serial(self, ca: Path) -> str:
        """The serial number of the certificate that a new connection gets."""
        _, writer = await asyncio.open_connection(NAME, self.number, ssl=client_context(ca))
        found = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        return str(found)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Port]:
    async def passes() -> None: ...

    port = Port(folder)
    app = Starlette(routes=[Route("/slow", slow), Route("/erased/{person}", erased), Route("/jwks", erased)])
    app.mount("/internal", health.application({"mongo": passes}))
    server = http_server(app, InternalSettings(host=HOST, port=port.number), port.certificate)
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield port
    finally:
        server.should_exit = server.force_exit = True
        await running


@pytest_asyncio.fixture(scope="module")
async def port(folder: Path) -> AsyncIterator[Port]:
    async with serving(folder) as opened:
        yield opened


def expires() -> float:
    """When the certificate in use expires, as the process reports it."""
    return REGISTRY.get_sample_value("certificate_expires_timestamp_seconds") or 0


async def answers(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except Unavailable:
        return False
    return True


async def refusal(call: Callable[[], Awaitable[object]]) -> str:
    """The reason of a call that is refused."""
    with pytest.raises(Unavailable) as caught:
        await call()
    return cause_of(caught.value)


async def test_redis_is_used_over_tls_only(redis: str, ca: Path, wrong: Path) -> None:
    async with RedisServer(RedisSettings(url=f"rediss://{redis}/0", ca=ca), "tests") as server:
        await eventually(lambda: answers(server.cache.ping), 10, "Redis answers")
        await server.cache.put("a", "b", 10)
        await server.limits.hit([Rule(1, 60)], "limit", sentence="请稍后再试")
        await server.limits.hit([Rule(1, 60, moving=True)], "moving", sentence="请稍后再试")
        assert not await server.limits.fits([Rule(1, 60)], "limit")
        stream = server.stream("tests:stream", 60)
        await stream.append({"a": "1"})
        assert await anext(stream.batches()) == [{"a": "1"}]
        assert {str(key).partition(":")[0] for key in await server._redis.keys("*")} == {"tests"}
    for given, url, reason in (
        (wrong, f"rediss://{redis}/0", "CERTIFICATE_VERIFY_FAILED"),
        (ca, f"rediss://{redis.replace(NAME, HOST)}/0", "IP address mismatch"),
        (None, f"redis://{redis}/0", "Connection"),
    ):
        async with RedisServer(RedisSettings(url=url, ca=given), "tests") as server:
            assert reason in await refusal(server.cache.ping)


async def test_with_an_authority_no_server_is_spoken_to_in_plaintext(redis: str, ca: Path) -> None:
    """Whatever the URL says."""
    async with RedisServer(RedisSettings(url=f"redis://{redis}/0", ca=ca), "tests") as server:
        await eventually(lambda: answers(server.cache.ping), 10, "Redis answers")


async def test_mongodb_is_used_over_tls_only(database: str, ca: Path, wrong: Path) -> None:
    url = f"mongodb://{database}/?directConnection=true"
    async with mongo.connect(MongoSettings(url=url, ca=ca, timeout_ms=1_000), "tests") as opened:
        await eventually(lambda: answers(lambda: mongo.ping(opened)), 30, "MongoDB answers")
    for given, place, reason in (
        (wrong, url, "CERTIFICATE_VERIFY_FAILED"),
        (ca, url.replace(NAME, HOST), "IP address mismatch"),
        (None, url, "connection closed"),
    ):
        async with mongo.connect(MongoSettings(url=place, ca=given, timeout_ms=1_000), "tests") as opened:
            assert reason in await refusal(lambda: mongo.ping(opened))


async def kafka_refusal(settings: KafkaSettings) -> str:
    """Why a connection fails; `ping` only says that Kafka is unavailable."""
    with pytest.raises(Unavailable):
        await kafka.ping(settings)
    security = options(settings)
    security.pop("metadata_max_age_ms")
    host, _, port = str(security.pop("bootstrap_servers")).rpartition(":")
    with pytest.raises(OSError, match="certificate verify failed") as caught:
        await create_conn(host, int(port), **security)
    return str(caught.value)


async def test_kafka_clients_refuse_another_authority_and_plaintext_with_a_password(
    port: Port, ca: Path, wrong: Path
) -> None:
    """What they do with the right one: on the brokers of the stack."""
    servers = f"{NAME}:{port.number}"
    other = KafkaSettings(servers=servers, user="tests", password="secret", ca=wrong)
    assert "CERTIFICATE_VERIFY_FAILED" in await kafka_refusal(other)
    assert "IP address mismatch" in await kafka_refusal(KafkaSettings(servers=f"{HOST}:{port.number}", ca=ca))
    with pytest.raises(ValueError, match="ssl_context"):
        await kafka.ping(KafkaSettings(servers=servers, user="tests", password="secret"))


async def test_the_bucket_refuses_another_authority(port: Port, wrong: Path) -> None:
    keys = {"access_key": "key", "secret_key": "secret", "bucket": "tests", "call_seconds": 60}
    settings = BlobSettings.model_validate({"endpoint": port.url, "ca": wrong, **keys})
    async with blobs.connect(settings) as bucket:
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(bucket.prepare)


async def test_the_log_names_the_reason_of_a_failed_check_once(port: Port, wrong: Path) -> None:
    settings = TokenSettings(issuer="us", audience="our services", jwks_url=f"{port.url}/jwks", ca=wrong)
    verifier = TokenVerifier(jwks_over_http(settings), settings, SystemClock(), lambda _: None)
    with pytest.raises(Unavailable) as caught:
        await verifier.ready()

    async def check() -> None:
        raise caught.value

    internal = httpx2.ASGITransport(health.application({"tokens": check}))
    with capture_logs() as lines:
        async with httpx2.AsyncClient(transport=internal, base_url="http://own") as http:
            statuses = [(await http.get("/readyz")).status_code for _ in range(2)]
    (line,) = [line for line in lines if line["event"] == "readiness check failed"]
    assert (statuses, line["check"]) == ([503, 503], "tokens")
    assert "CERTIFICATE_VERIFY_FAILED" in line["error"]


async def test_services_call_each_other_over_tls_only(port: Port, ca: Path, wrong: Path) -> None:
    def tokens(authority: Path | None, url: str = port.url) -> TokenSettings:
        return TokenSettings(issuer="us", audience="our services", jwks_url=f"{url}/jwks", ca=authority)

    assert await confirmed_over_http(tokens(ca))("somebody") is True
    assert "keys" in await jwks_over_http(tokens(ca))()
    async with http_client(port.url, 5, ca) as http:
        assert await ServiceClient("identity", http).ask("/erased/somebody", "token", Erased) == Erased(erased=True)
    plain = port.url.replace("https", "http")
    for url, authority in ((port.url, wrong), (port.url, None), (port.url.replace(NAME, HOST), ca), (plain, ca)):
        with capture_logs() as lines:
            with pytest.raises(Unavailable):
                await confirmed_over_http(tokens(authority, url))("somebody")
            async with http_client(url, 5, authority) as http:
                with pytest.raises(Unavailable):
                    await ServiceClient("identity", http).ask("/erased/somebody", "token", Erased)
        reasons = [line["error"] for line in lines]
        assert len(reasons) == 2, lines
        assert all("CERTIFICATE_VERIFY_FAILED" in reason for reason in reasons) is (url != plain), reasons


async def test_an_internal_port_is_read_at_the_address_of_each_process(port: Port, ca: Path) -> None:
    """The certificate is the name's; the name may have the addresses of several processes."""
    place = f"https://{HOST}:{port.number}/internal"
    async with httpx2.AsyncClient(verify=client_context(ca)) as http:
        assert (await read_status(http, place, {"none"}, f"{port.url}/internal")).checks == {"mongo": "ok"}
    async with httpx2.AsyncClient(verify=client_context(ca)) as http:
        assert not (await read_status(http, place, {"none"})).answers


async def test_a_renewed_certificate_is_used_for_new_connections_and_running_requests_go_on(
    folder: Path, tmp_path: Path, ca: Path
) -> None:
    authority = Authority.in_folder(folder)
    authority.issue("server", [NAME], tmp_path)
    async with serving(tmp_path) as port, httpx2.AsyncClient(verify=client_context(ca)) as http:
        before = await port.serial(ca)
        async with http.stream("GET", f"{port.url}/slow") as response:
            pieces = response.aiter_bytes()
            received = await anext(pieces)
            authority.issue("server", [NAME, "another.name"], tmp_path, days=10)
            port.certificate.renew()
            assert await port.serial(ca) != before
            assert 9 < (expires() - time.time()) / 86400 < 10
            received += b"".join([piece async for piece in pieces])
        assert received == b"piece" * 5
        assert (await http.get(f"{port.url}/internal/healthz")).status_code == 200


async def test_a_certificate_without_its_key_is_not_used(folder: Path, tmp_path: Path, ca: Path) -> None:
    authority = Authority.in_folder(folder)
    authority.issue("server", [NAME], tmp_path)
    async with serving(tmp_path) as port:
        before, key = await port.serial(ca), port.files[1].read_bytes()
        authority.issue("server", [NAME, "another.name"], tmp_path)
        renewed = port.files[1].read_bytes()
        port.files[1].write_bytes(key)
        with pytest.raises(OSError, match="KEY_VALUES_MISMATCH"):
            port.certificate.renew()
        assert await port.serial(ca) == before
        port.files[1].write_bytes(renewed)
        port.certificate.renew()
        assert await port.serial(ca) != before


async def test_versions_before_1_2_are_refused(port: Port, ca: Path) -> None:
    old = client_context(ca)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(NAME, port.number, ssl=old)
    assert client_context(ca).minimum_version == ssl.TLSVersion.TLSv1_2


def test_servers_have_the_same_authority_unless_they_have_their_own(
    monkeypatch: pytest.MonkeyPatch, ca: Path, wrong: Path
) -> None:
    monkeypatch.setenv("KAFKA__SERVERS", "kafka:9092")
    monkeypatch.setenv("TLS__CA", str(ca))
    assert ToolSettings().kafka.ca == ca
    monkeypatch.setenv("KAFKA__CA", str(wrong))
    assert ToolSettings().kafka.ca == wrong


def test_each_process_has_its_own_settings(monkeypatch: pytest.MonkeyPatch, ca: Path) -> None:
    monkeypatch.setenv("REDIS__URL", "rediss://redis")
    monkeypatch.setenv("ENVIRONMENT", "local")
    assert ProcessSettings(tls=TlsSettings(ca=ca)).tracing.ca == ca
    assert ProcessSettings().tracing.ca is None


class WithAddresses(ProcessSettings):
    BROWSERS = ServiceSettings.BROWSERS | {"page"}

    tokens: TokenSettings | None = None
    seal: KeyRing = KeyRing(keys={}, current="a group with a field `keys`, as a mapping has")
    services: dict[str, str] = Field(default={})
    page: str = "http://127.0.0.1"


def test_in_production_a_process_starts_with_tls_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS__URL", "rediss://redis")
    with pytest.raises(SystemExit, match=r"together: .*TLS__CA, TLS__CERTIFICATE and TLS__KEY are required"):
        read(ProcessSettings)
    for name, file in (("CA", "ca.pem"), ("CERTIFICATE", "server.pem"), ("KEY", "server.key")):
        monkeypatch.setenv(f"TLS__{name}", str(folder / file))
    assert read(WithAddresses).redis.ca == folder / "ca.pem"
    monkeypatch.setenv("SERVICES", '{"identity": "http://identity-api:8000", "records": "https://records-api:8000"}')
    monkeypatch.setenv(
        "TOKENS", '{"issuer": "us", "audience": "http://them", "jwks_url": "http://identity-api:8000/jwks"}'
    )
    with pytest.raises(SystemExit, match=r"https:// is required unless .*: TOKENS__JWKS_URL, SERVICES__IDENTITY$"):
        read(WithAddresses)


def test_a_certificate_has_a_key(folder: Path) -> None:
    with pytest.raises(ValidationError, match="together"):
        TlsSettings(certificate=folder / "server.pem")
