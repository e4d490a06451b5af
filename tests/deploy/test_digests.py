"""deploy/digests.py against a small registry: it finds what a container engine would pull."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from deploy.digests import KINDS, NoDigest, Reference
from tests.support.setting_names import ROOT

TOKEN = "a-token"
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


class Registry(BaseHTTPRequestHandler):
    """Has the tag 7.2.16 of all repositories; `closed/` only for callers with a token, `lies/` with a wrong digest."""

    def do_GET(self) -> None:
        if self.path.startswith("/token?service=here&scope=repository"):
            return self._answer(200, b'{"token": "%s"}' % TOKEN.encode())
        if "/closed/" in self.path and self.headers["Authorization"] != f"Bearer {TOKEN}":
            realm = f"http://{self.headers['Host']}/token"
            return self._answer(
                401, b"{}", ("WWW-Authenticate", f'Bearer realm="{realm}",service="here",scope="repository"')
            )
        if not self.path.endswith("/manifests/7.2.16") or self.headers["Accept"] != ", ".join(KINDS):
            return self._answer(404, b"{}")
        digest = "sha256:" + "0" * 64 if "/lies/" in self.path else DIGEST
        return self._answer(200, MANIFEST, ("Docker-Content-Digest", digest))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def digests(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.digests", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_it_prints_the_digest_of_an_image(registry: str) -> None:
    for name in (f"{registry}/redis", f"{registry}/closed/redis"):
        assert digests(f"{name}:7.2.16").stdout == f"{name}:7.2.16@{DIGEST}\n"


@pytest.mark.parametrize(
    ("name", "cause"),
    [("redis:7.2.17", "404"), ("lies/redis:7.2.16", "does not have the digest"), ("redis", "has no tag")],
)
def test_it_prints_nothing_that_it_did_not_find(registry: str, name: str, cause: str) -> None:
    result = digests(f"{registry}/{name}")
    assert (result.returncode, result.stdout) == (1, "")
    assert cause in result.stderr
    assert "Traceback" not in result.stderr


def test_it_fills_in_the_images_of_a_compose_file(registry: str, tmp_path: Path) -> None:
    compose = tmp_path / "docker-compose.yml"
    text = (
        "services:\n"
        "  redis: {restart: always}\n"
        "  one:\n    image: ${REGISTRY:-docker.io}/library/redis:7.2.16 # why\n"
        f"  two:\n    image: {registry}/closed/redis:7.2.16@sha256:{'1' * 64}\n"
        "  ours:\n    image: practitioner-portal:${VERSION:-0.1.0}\n"
    )
    compose.write_text(text)
    assert digests("--write", str(compose), REGISTRY=registry).returncode == 0
    found = yaml.safe_load(compose.read_text())["services"]
    assert found["one"]["image"] == f"${{REGISTRY:-docker.io}}/library/redis:7.2.16@{DIGEST}"
    assert found["two"]["image"] == f"{registry}/closed/redis:7.2.16@{DIGEST}"
    assert found["ours"]["image"] == "practitioner-portal:${VERSION:-0.1.0}"
    assert "# why" in compose.read_text()


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag"),
    [
        ("redis:7.2.16", "docker.io", "library/redis", "7.2.16"),
        ("prom/prometheus:v3.13.5", "docker.io", "prom/prometheus", "v3.13.5"),
        ("registry.example.cn:5000/city/portal:0.1.0", "registry.example.cn:5000", "city/portal", "0.1.0"),
        ("localhost/portal:0.1.0", "localhost", "portal", "0.1.0"),
    ],
)
def test_references_are_read_as_container_engines_do(text: str, host: str, repository: str, tag: str) -> None:
    assert Reference.parse(text) == Reference(host, repository, tag)


def test_a_port_is_no_tag() -> None:
    with pytest.raises(NoDigest):
        Reference.parse("registry.example.cn:5000/city/portal")
