"""The network of a cluster: a namespace for each instance, joined by a bridge. Needs root, and the sandbox."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.local.layout import BRIDGE, Layout

_BRIDGE = "portal"


def connect(layout: Layout) -> None:
    """Create the bridge, and each instance's namespace with its address, unless they are there."""
    if Path(f"/sys/class/net/{_BRIDGE}").exists():
        return
    commands = [["link", "set", "lo", "up"], ["link", "add", _BRIDGE, "type", "bridge"]]
    commands += [["addr", "add", f"{BRIDGE}/24", "dev", _BRIDGE], ["link", "set", _BRIDGE, "up"]]
    for place, instance in enumerate(layout.instances):
        commands += _namespace(instance.name, instance.host, f"port{place}")
    _ip(commands)


def _namespace(name: str, host: str, port: str) -> list[list[str]]:
    inside = ["netns", "exec", name, "ip"]
    return [
        ["netns", "add", name],
        ["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name],
        ["link", "set", port, "master", _BRIDGE, "up"],
        [*inside, "addr", "add", f"{host}/24", "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        [*inside, "link", "set", "lo", "up"],
    ]


def _ip(commands: Sequence[Sequence[str]]) -> None:
    for command in commands:
        result = subprocess.run(["ip", *command], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"ip {' '.join(command)}: {result.stderr.strip()}")
