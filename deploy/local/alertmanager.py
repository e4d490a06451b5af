"""Alertmanager, which runs where Debian's package is installed, with the routes of production."""

from pathlib import Path

from deploy.local.ports import HOST
from deploy.local.stack import ROOT, Stack

CONFIGURATION = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
_SENDER = "http://alert-sender:9000/"


def configuration_path(stack: Stack) -> Path:
    return stack.servers / "alertmanager" / "alertmanager.yml"


def configuration(stack: Stack) -> str:
    """Return the configuration of production, with this stack's alert-sender."""
    return CONFIGURATION.read_text().replace(_SENDER, f"http://{HOST}:{stack.ports.alert_sender}/")


def command(stack: Stack, binary: str) -> list[str]:
    data = str(stack.servers / "alertmanager" / "data")
    files = [f"--config.file={configuration_path(stack)}", f"--storage.path={data}"]
    listen = [f"--web.listen-address={HOST}:{stack.ports.alertmanager}", "--cluster.listen-address="]  # no cluster
    return [binary, *files, *listen, "--log.level=warn"]
