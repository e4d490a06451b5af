"""The instances of each program and their addresses: one of each on the loopback, or a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from deploy.local.ports import HOST, ONLY_API, SERVICES

BALANCER = "balancer"
NETWORK = "10.77.0"
"""The first three bytes of a cluster's addresses, which exist only inside its sandbox."""
BRIDGE = f"{NETWORK}.1"
"""The address of commands that run inside the sandbox, like tests."""
_FIRST = 10


def roles_of(service: str) -> tuple[str, ...]:
    """Return the roles of a service's processes."""
    return ("api",) if service in ONLY_API else ("api", "worker")


@dataclass(frozen=True)
class Instance:
    """One running copy of a program: `kind` is the program, `name` its own name, `number` counts from 1."""

    kind: str
    name: str
    number: int
    host: str


_APIS = tuple(f"{service}-api" for service in SERVICES)
_WORKERS = tuple(f"{service}-worker" for service in SERVICES if service not in ONLY_API)
_ALONE = ("s3", "sms-carrier", "card-reader", "gateway")


@dataclass(frozen=True)
class Layout:
    """The instances of each kind of program. In a `cluster` each has an address of its own, else all share one.

    `for_faults`: servers have small disks and our processes clocks that can be set.
    """

    counts: Mapping[str, int]
    cluster: bool = False
    for_faults: bool = False

    @cached_property
    def instances(self) -> Sequence[Instance]:
        """Return all instances; their order gives the addresses."""
        found: list[Instance] = []
        for kind, count in self.counts.items():
            for number in range(1, count + 1):
                host = f"{NETWORK}.{_FIRST + len(found)}" if self.cluster else HOST
                found.append(Instance(kind, kind if count == 1 else f"{kind}-{number}", number, host))
        return found

    def of(self, kind: str) -> list[Instance]:
        """Return the instances of a kind, none if the layout has none."""
        return [instance for instance in self.instances if instance.kind == kind]

    def host(self, kind: str) -> str:
        """Return the address where clients find a program: the balancer's if there are several instances."""
        first, *others = self.of(kind)
        return self.of(BALANCER)[0].host if others else first.host

    def command(self, instance: Instance, command: Sequence[str]) -> list[str]:
        """Return the command line that runs a command in an instance's own network."""
        return ["ip", "netns", "exec", instance.name, *command] if self.cluster else list(command)

    def addresses(self, kind: str) -> list[str]:
        """Return every address by which a client may know the program, for its certificate."""
        return list(dict.fromkeys(["localhost", *(each.host for each in self.of(kind)), self.host(kind)]))


SINGLE = Layout(dict.fromkeys(("kafka", "mongo", "redis", *_ALONE, *_APIS, *_WORKERS), 1))
CLUSTER = Layout(
    {
        "kafka": 3, "mongo": 3, "redis": 2, "sentinel": 3, BALANCER: 1, **dict.fromkeys(_ALONE, 1),
        **dict.fromkeys((*_APIS, *_WORKERS), 2), "records-api": 3, "records-worker": 3,
    },
    cluster=True,
)  # fmt: skip
_LAYOUTS = {"cluster": CLUSTER, "sweep": replace(CLUSTER, for_faults=True)}


def layout_of(name: str) -> Layout:
    """Return the layout of the stack of this name."""
    return _LAYOUTS.get(name, SINGLE)
