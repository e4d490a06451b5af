"""Every port inside speaks TLS only, at least 1.2, with a certificate of the stack's authority."""

import socket
import ssl
from pathlib import Path

import pytest

from deploy.access.authority import Authority
from deploy.local.ports import HOST
from deploy.local.stack import Stack
from tests.support.stack import RunningStack

FOR_PEOPLE = {
    "gateway", "sms-carrier", "card-reader", "prometheus", "node-exporter", "alertmanager", "alert-sender",
    "alert-inbox", "blackbox-exporter",
}  # fmt: skip
"""Open to programs of the same machine: pages and figures for a developer. In production they have TLS or no port."""
PLAIN = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "redis": b"PING\r\n",
    "kafka": bytes.fromhex("0000001100120000000000010001780000000000"),
    "mongo": bytes.fromhex("3a000000010000000000000dd40700000000000061646d696e2e24636d640000000000ffffffff13000000")
    + b"\x10hello\x00\x01\x00\x00\x00\x00",
}
REFUSALS = (
    b"\x15\x03",
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.",
    b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 85\r\n\r\nIt looks like "
    b"you are trying to access MongoDB over HTTP",
)
"""What servers answer to everything that is not TLS; most of them nothing."""


def closed_ports(stack: RunningStack) -> dict[int, str]:
    plan = Stack.named(stack.facts["name"]).ports
    return {port: use for port, use in plan.by_use().items() if use not in FOR_PEOPLE}


def mutual_ports(stack: RunningStack) -> list[int]:
    """The ports of servers' own components, which require a certificate of the client, too."""
    plan = Stack.named(stack.facts["name"]).ports
    inside = [port for option, port in plan.s3.items() if option != "s3.port"]
    return [plan.kafka_controller, plan.kafka_inside, *inside]


def answer(connection: socket.socket, words: bytes) -> bytes:
    try:
        connection.sendall(words)
        return connection.recv(1_000)
    except (ConnectionError, ssl.SSLError, TimeoutError):
        return b""


def test_plain_text_gets_no_answer(stack: RunningStack) -> None:
    tried = 0
    for port, use in closed_ports(stack).items():
        for protocol in {"http", use} & PLAIN.keys():
            tried += 1
            with socket.create_connection((HOST, port), timeout=1) as connection:
                got = answer(connection, PLAIN[protocol])
            assert not got or got.startswith(REFUSALS), (use, port, protocol, got)
    print(f"{tried} plain connections tried, 0 answered")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_refused(stack: RunningStack, newest: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # this machine's OpenSSL would not offer the older versions
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    for port in closed_ports(stack):
        with socket.create_connection((HOST, port), timeout=5) as connection, pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(connection)


def test_every_certificate_is_of_the_stacks_authorities(stack: RunningStack, tmp_path: Path) -> None:
    inside = stack.ca.parent / "s3-inside" / "ca.pem"
    ours = ssl.create_default_context(cafile=str(stack.ca))
    ours.load_verify_locations(str(inside))
    other = ssl.create_default_context(cafile=str(Authority.in_folder(tmp_path).ca))
    for port in closed_ports(stack):
        with socket.create_connection((HOST, port), timeout=5) as connection:
            ours.wrap_socket(connection, server_hostname=HOST).close()
        with (
            socket.create_connection((HOST, port), timeout=5) as connection,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            other.wrap_socket(connection, server_hostname=HOST)


def test_components_accept_only_certificates_of_their_authority(stack: RunningStack, tmp_path: Path) -> None:
    """A service's certificate, of the stack's authority, does not open SeaweedFS's components either."""
    folder = stack.ca.parent
    Authority.in_folder(tmp_path).issue("s3", [HOST], tmp_path)
    plan = Stack.named(stack.facts["name"]).ports
    kafka = {plan.kafka_controller, plan.kafka_inside}
    pairs: dict[str, tuple[Path, Path] | None] = {
        "none": None,
        "another authority's": (tmp_path / "s3.pem", tmp_path / "s3.key"),
    }
    service: dict[str, tuple[Path, Path] | None] = {
        "a service's": (folder / "records-api.pem", folder / "records-api.key")
    }
    tried = 0
    for port in mutual_ports(stack):
        for name, pair in (pairs if port in kafka else pairs | service).items():
            tried += 1
            assert not accepts(port, pair), (port, name)
    print(f"{tried} connections to components tried, 0 accepted")


def accepts(port: int, pair: tuple[Path, Path] | None) -> bool:
    """Whether the server goes on after the handshake; with TLS 1.3 it refuses a certificate only then."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if pair:
        context.load_cert_chain(*pair)
    try:
        with socket.create_connection((HOST, port), timeout=2) as plain, context.wrap_socket(plain) as connection:
            connection.sendall(PLAIN["http"])
            return connection.recv(1_000) != b""
    except TimeoutError:
        return True  # it waits for more
    except OSError:
        return False
