"""Exporters: of Debian where their packages are installed, and server-exporter, which is ours."""

import json
from pathlib import Path

from deploy.access.redis import exporter_passwords
from deploy.local import access
from deploy.local.environment import Environment, certificate_environment, connections
from deploy.local.ports import HOST
from deploy.local.secrets import Secrets
from deploy.local.stack import ROOT, Stack

BLACKBOX = ROOT / "deploy" / "blackbox" / "blackbox.yml"
_CA = "/etc/trust/ca.crt"
USER = "monitoring"
"""The principal of all exporters."""


def files(stack: Stack, secrets: Secrets) -> dict[Path, str]:
    """Return the files that exporters read when they start."""
    passwords = exporter_passwords(f"{HOST}:{stack.ports.redis}", USER, secrets.password(USER))
    return {
        _redis_passwords(stack): json.dumps(passwords),
        _blackbox(stack): BLACKBOX.read_text().replace(_CA, str(access.ca(stack))),
    }


def _redis_passwords(stack: Stack) -> Path:
    return stack.servers / "redis-exporter.json"


def _blackbox(stack: Stack) -> Path:
    return stack.servers / "blackbox.yml"


def redis_command(stack: Stack, binary: str) -> list[str]:
    login = [f"-redis.addr=rediss://{HOST}:{stack.ports.redis}", f"-redis.user={USER}"]
    ours = certificate_environment(stack, USER)
    files = [
        f"-redis.password-file={_redis_passwords(stack)}", f"-tls-ca-cert-file={access.ca(stack)}",
        f"-tls-server-cert-file={ours['TLS__CERTIFICATE']}", f"-tls-server-key-file={ours['TLS__KEY']}",
    ]  # fmt: skip
    quiet = ["-config-command=-", "-set-client-name=false"]  # which its user may not
    return [binary, *login, *files, *quiet, f"-web.listen-address={HOST}:{stack.ports.redis_exporter}"]


def blackbox_command(stack: Stack, binary: str) -> list[str]:
    listen = f"--web.listen-address={HOST}:{stack.ports.blackbox_exporter}"
    return [binary, f"--config.file={_blackbox(stack)}", listen, "--log.level=warn"]


def server_exporter_environment(stack: Stack, secrets: Secrets) -> Environment:
    """Return what `python -m deploy.server_exporter` needs."""
    port = {"INTERNAL__PORT": str(stack.ports.server_exporter)}
    return connections(stack, secrets, USER) | certificate_environment(stack, USER) | port
