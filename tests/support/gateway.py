"""A gateway for one test: a real Caddy with the Caddyfile."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import stamina

from deploy.access.authority import Authority
from tests.support.installation import compose
from tests.support.processes import free_port
from tests.support.setting_names import ROOT


@contextmanager
def gateway(
    site: str, certificates: Path, home: Path, changed: Mapping[str, str] = MappingProxyType({}), /, **apis: str
) -> Iterator[tuple[int, Path]]:
    """Runs Caddy with compose's environment except `apis`, on a loopback port. Yields its port and its log.

    `changed`: replacements of texts in the Caddyfile. Services need a certificate of INSIDE_CA, by default the
    authority in `home`.
    """
    port, log = free_port(), home / "caddy.log"
    apis = {"INSIDE_CA": str(Authority.in_folder(home / "inside").ca)} | apis
    given = compose()["gateway"].environment | {
        "GATEWAY": f"{site}:{port}", "GATEWAY_BIND": "127.0.0.1", "CERTIFICATES": str(certificates),
        "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home), **apis,
    }  # fmt: skip
    # the redirect from plain HTTP needs an unprivileged port
    caddyfile = home / "Caddyfile"
    text = (ROOT / "deploy/Caddyfile").read_text().replace("{\n", f"{{\n\thttp_port {free_port()}\n", 1)
    for own, instead in changed.items():
        assert own in text
        text = text.replace(own, instead)
    caddyfile.write_text(text)
    command = [f"{ROOT}/.venv/bin/caddy", "run", "--adapter", "caddyfile", "--config", str(caddyfile)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=given, stdout=sink, stderr=sink)
    try:
        listening(port)
        yield port, log
    finally:
        process.terminate()
        process.wait(10)


@stamina.retry(on=OSError, attempts=None, timeout=20, wait_initial=0.05, wait_max=0.2)
def listening(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)):
        pass
