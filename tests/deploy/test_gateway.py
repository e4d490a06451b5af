"""The gateway as an installation starts it: a real Caddy with the Caddyfile and the installation's certificate."""

import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import repeat
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.access.authority import Authority
from kit.imports.routes import READ_SECONDS
from kit.settings import HttpSettings
from services.subscriptions.settings import MAX_WAIT
from tests.support.chart import CHART
from tests.support.gateway import gateway
from tests.support.installation import SITE, compose
from tests.support.setting_names import ROOT


def test_the_installations_certificate_is_served_and_none_is_requested(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    authority = write_certificate(folder / "site.pem")
    trusted = ssl.create_default_context(cadata=authority)
    with gateway(f"https://{SITE}", folder, tmp_path) as (port, log):
        with httpx2.Client(verify=trusted) as client:
            answer = client.get(
                f"https://127.0.0.1:{port}/api/nobody", headers={"Host": SITE}, extensions={"sni_hostname": SITE}
            )
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        text = log.read_text()
    assert "one or more matching certificates are already loaded" in text
    assert "obtaining certificate" not in text


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_only_tls_1_2_and_1_3_are_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    authority = write_certificate(folder / "site.pem")
    with gateway(f"https://{SITE}", folder, tmp_path) as (port, _log):
        assert negotiated(port, authority, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        assert negotiated(port, authority, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):  # the gateway's alert
            negotiated(port, authority, ssl.TLSVersion.TLSv1_1)


def negotiated(port: int, authority: str, newest: ssl.TLSVersion) -> str | None:
    """The version that the gateway agrees on with a client that knows none newer than `newest`."""
    client = ssl.create_default_context(cadata=authority)
    client.set_ciphers("ALL:@SECLEVEL=0")  # this machine's OpenSSL would not offer the older versions
    client.minimum_version, client.maximum_version = ssl.TLSVersion.TLSv1, newest
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        client.wrap_socket(connection, server_hostname=SITE) as encrypted,
    ):
        return encrypted.version()


def test_a_caller_cannot_set_the_headers_of_a_proxy(tmp_path: Path) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    with (
        echoing(tmp_path / "inside") as upstream,
        gateway("http://localhost", tmp_path, tmp_path, IDENTITY=upstream) as (port, _log),
    ):
        answer = httpx2.get(f"http://127.0.0.1:{port}/api/identity/x", headers={"Host": f"localhost:{port}", **forged})
    arrived = {name.lower(): value for name, value in answer.json().items()}
    assert {name: arrived[name.lower()] for name in forged} == {
        "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": f"localhost:{port}", "X-Forwarded-Proto": "http",
    }  # fmt: skip


@contextmanager
def echoing(authority: Path, statuses: Iterator[int] = repeat(200)) -> Iterator[str]:
    """A service that answers each request with its headers, as JSON, and the next status. Yields its host and port.

    In place of the status 0 it closes the connection.
    """
    Authority.in_folder(authority).issue("echo", ["127.0.0.1"], authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "echo.pem", authority / "echo.key")

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not (status := next(statuses)):
                return
            body = json.dumps(dict(self.headers.items())).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the name that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_service_that_is_overloaded_is_spared_for_a_moment(tmp_path: Path) -> None:
    """Its own status becomes a 503; after four of them the gateway answers in its place, but not after other errors."""
    statuses = iter([503] * 6 + [529] * 4 + [200] * 10)
    with (
        echoing(tmp_path / "inside", statuses) as upstream,
        gateway("http://localhost", tmp_path, tmp_path, IDENTITY=upstream) as (port, _log),
        httpx2.Client(base_url=f"http://localhost:{port}") as client,
    ):
        answers = [client.get("/api/identity/x") for _ in range(12)]
        assert [answer.status_code for answer in answers] == [503] * 12
        assert ["X-Forwarded-For" in answer.text for answer in answers] == [True] * 6 + [False] * 6
        assert [answer.json()["code"] for answer in answers[6:]] == ["unavailable"] * 6
        assert all(1 <= int(answer.headers["retry-after"]) <= 4 for answer in answers[6:])
        time.sleep(0.7)
        assert client.get("/api/identity/x").status_code == 200
        assert len(list(statuses)) == 9, "two did not reach the service"


def test_a_read_whose_connection_breaks_is_sent_once_more_and_a_write_is_not(tmp_path: Path) -> None:
    statuses = iter([0, 200, 0, 200, 0, 0])
    with (
        echoing(tmp_path / "inside", statuses) as upstream,
        gateway("http://localhost", tmp_path, tmp_path, IDENTITY=upstream) as (port, _log),
        httpx2.Client(base_url=f"http://localhost:{port}") as client,
    ):
        assert client.get("/api/identity/x").status_code == 200
        assert client.post("/api/identity/x").status_code == 503
        assert client.post("/api/identity/x").status_code == 200
        assert client.get("/api/identity/x").status_code == 503, "once, not twice"


def test_nobody_outside_sets_a_deadline(tmp_path: Path) -> None:
    with (
        echoing(tmp_path / "inside") as upstream,
        gateway("http://localhost", tmp_path, tmp_path, IDENTITY=upstream) as (port, _log),
    ):
        answer = httpx2.get(f"http://localhost:{port}/api/identity/x", headers={"X-Timeout-Ms": "1"})
    assert answer.status_code == 200
    assert "X-Timeout-Ms" not in answer.json()


def test_plain_http_works_without_a_certificate(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    with gateway("http://localhost", folder, tmp_path) as (port, _log):
        answer = httpx2.get(f"http://127.0.0.1:{port}/api/nobody", headers={"Host": "localhost"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_slow_uplink_has_time_for_twenty_megabytes_and_a_stalled_one_is_closed() -> None:
    timeouts = limits()["timeouts"]
    assert 20_000_000 / timeouts["read_body"] <= 35_000, "280 kbit/s"
    assert timeouts["write"] >= 2 * timeouts["read_body"], "it is counted from the head of the request on"
    assert timeouts["read_header"] <= 10
    assert timeouts["idle"] <= 120


def test_the_ingress_has_the_limits_of_the_gateway() -> None:
    annotations = yaml.safe_load((CHART / "values.yaml").read_text())["ingress"]["annotations"]
    nginx = {name.rpartition("/")[2]: value for name, value in annotations.items()}
    assert nginx["proxy-body-size"] == f"{limits()['most_megabytes']}m"
    assert nginx["proxy-request-buffering"] == "on", "who is slow is waited for by the ingress"
    longest = max(READ_SECONDS, HttpSettings().timeout_seconds + MAX_WAIT)
    for way in ("read", "send"):
        assert int(nginx[f"proxy-{way}-timeout"]) >= longest


def limits() -> dict[str, Any]:
    """The limits of the Caddyfile as Caddy reads it: seconds of time-outs by name, megabytes of a body."""
    adapt = [f"{ROOT}/.venv/bin/caddy", "adapt", "--adapter", "caddyfile", "--config", f"{ROOT}/deploy/Caddyfile"]
    given = compose()["gateway"].environment | {"GATEWAY": ":80"}
    text = subprocess.run(adapt, env=given, check=True, capture_output=True, text=True).stdout
    (server,) = json.loads(text)["apps"]["http"]["servers"].values()
    names = {"read_timeout": "read_body", "read_header_timeout": "read_header", "write_timeout": "write"}
    timeouts = {names.get(name, "idle"): server[name] / 1e9 for name in (*names, "idle_timeout")}
    return {"timeouts": timeouts, "most_megabytes": max(map(int, re.findall(r'"max_size": ?(\d+)', text))) // 1_000_000}


def test_http3_is_published_where_it_is_offered() -> None:
    given = compose()["gateway"].given
    assert {"443:443", "443:443/udp"} <= set(given["ports"])


def write_certificate(path: Path) -> str:
    """Writes a certificate for SITE followed by its key, as docs/deployment.md describes. Returns the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SITE)]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SITE)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_text(public + private.decode())
    return public
