"""One copy of the stack: its name, folders and ports."""

import os
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from deploy.local.layout import Instance, Layout, layout_of
from deploy.local.ports import Ports

ROOT = Path(__file__).parents[2]
KAFKA_LIBS = ROOT / ".local" / "kafka" / "libs"

# A unix socket's address holds 108 bytes, and supervisord appends its process id while it binds.
_LONGEST_SOCKET = 90


@dataclass(frozen=True)
class Stack:
    """One copy of the stack. Everything it writes is in its data folder."""

    name: str
    data: Path
    ports: Ports
    layout: Layout

    @classmethod
    def named(cls, name: str, data: Path | None = None) -> Self:
        """Return a stack by name; the data folder of `dev` is `.local`, that of any other a temporary folder."""
        folder = data or (ROOT / ".local" if name == "dev" else temporary_folder(name))
        return cls(name=name, data=folder.resolve(), ports=Ports.of(name), layout=layout_of(name))

    def host(self, kind: str) -> str:
        """Return the address where clients find a program."""
        return self.layout.host(kind)

    def api(self, service: str) -> str:
        """Return the URL of a service's API for the other services."""
        return f"https://{self.host(f'{service}-api')}:{self.ports.services[service].api}"

    @property
    def gateway(self) -> str:
        """Return the URL of the gateway."""
        return f"http://{self.host('gateway')}:{self.ports.gateway}"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def servers(self) -> Path:
        """Return the folder with a folder for each server's data and configuration."""
        return self.data / "servers"

    @property
    def clocks(self) -> Path:
        """Return the folder with a file for each of our processes that sets its clock, where faults are provoked."""
        return self.data / "clocks"

    def code_of(self, instance: Instance) -> Path:
        """Return the checkout that an instance runs: where faults are provoked, a link that an upgrade changes."""
        return self.data / "code" / instance.name if self.layout.for_faults else ROOT

    @property
    def stackfile(self) -> Path:
        return self.data / "stack.json"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets.json"

    @property
    def certificates(self) -> Path:
        """Return the folder with the authority's certificate (`ca.pem`) and the certificate and key of each program."""
        return self.data / "certificates"

    @property
    def client_properties(self) -> Path:
        """Return the file with which Kafka's own tools connect as the subscriber of the demo."""
        return self.data / "client.properties"

    @property
    def environments(self) -> Path:
        """Return the folder with a JSON file for each of our processes: the settings it was started with."""
        return self.data / "environment"

    @property
    def supervisor_config(self) -> Path:
        return self.data / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.data / "supervisord.pid"

    @property
    def socket(self) -> Path:
        inside = self.data / "supervisor.sock"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET:
            return inside
        return temporary_folder(f"{self.name}-{_digest(str(self.data))}") / "supervisor.sock"

    def make_folders(self) -> None:
        for folder in (self.data, self.logs, self.servers, self.environments, self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid != os.getuid():
                raise RuntimeError(f"{folder} belongs to another user")


def temporary_folder(name: str) -> Path:
    """Return a folder for this clone and this user: a short path, the same at every call."""
    return Path(tempfile.gettempdir()) / f"portal-{name}-{os.getuid()}-{_digest(str(ROOT))}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
