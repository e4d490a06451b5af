"""The network of a cluster: a namespace for each instance, joined by a bridge. Needs root, and the sandbox."""

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.local.layout import BRIDGE, NETWORK, Layout
from deploy.local.ports import HOST

_BRIDGE, _DOOR = "portal", "portal-door"
_NAMES = Path("/run/netns")


def open_door(sandbox: int) -> None:
    """Let this machine reach the bridge of a sandbox (the pid of a process in it). The interface ends with it."""
    inside = ["nsenter", "--target", str(sandbox), "--net"]
    _run(
        [
            ["ip", "link", "add", _DOOR, "type", "veth", "peer", "name", _DOOR, "netns", str(sandbox)],
            ["ip", "addr", "add", f"{NETWORK}.2/24", "dev", _DOOR],
            ["ip", "link", "set", _DOOR, "up"],
            [*inside, "ip", "link", "add", _BRIDGE, "type", "bridge"],
            [*inside, "ip", "link", "set", _DOOR, "master", _BRIDGE, "up"],
        ]
    )


def connect(layout: Layout) -> None:
    """Create the bridge, and each instance's namespace with its address, unless they are there."""
    if any(_NAMES.iterdir()):
        return
    commands = [["link", "set", "lo", "up"]]
    commands += [] if _has_bridge() else [["link", "add", _BRIDGE, "type", "bridge"]]
    commands += [["addr", "add", f"{BRIDGE}/24", "dev", _BRIDGE], ["link", "set", _BRIDGE, "up"]]
    for place, instance in enumerate(layout.instances):
        commands += _namespace(instance.name, instance.host, f"port{place}")
    _run(["ip", *command] for command in commands)
    _lead_loopback_to_sandbox(layout)


def _has_bridge() -> bool:
    return subprocess.run(["ip", "link", "show", _BRIDGE], capture_output=True, check=False).returncode == 0


def _lead_loopback_to_sandbox(layout: Layout) -> None:
    """Lead what `subscriptions` sends to its loopback to the sandbox's: receivers of webhooks listen there in tests.

    No other private address may be called.
    """
    here = ["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"]
    nat, target = ["iptables", "-t", "nat", "-A"], ["-j", "DNAT", "--to-destination"]
    commands = [here, [*nat, "PREROUTING", "-d", BRIDGE, "-p", "tcp", *target, HOST]]
    for instance in (*layout.of("subscriptions-api"), *layout.of("subscriptions-worker")):
        inside = ["ip", "netns", "exec", instance.name]
        out = [*nat, "OUTPUT", "-d", HOST, "-p", "tcp", *target, BRIDGE]
        back = [*nat, "POSTROUTING", "-s", HOST, "-d", BRIDGE, "-j", "MASQUERADE"]
        commands += [[*inside, *here], [*inside, *out], [*inside, *back]]
    _run(commands)


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


def _run(commands: Iterable[Sequence[str]]) -> None:
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}")
