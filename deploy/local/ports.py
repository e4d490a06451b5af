"""The port plan: the ports of each copy of the stack."""

from dataclasses import dataclass
from typing import Self
from zlib import crc32

HOST = "127.0.0.1"
SERVICES = ("identity", "records", "notify", "attachments", "signature", "portal", "subscriptions")
ONLY_API = {"portal"}
"""The services without a worker: they consume and publish nothing."""
# Every port that SeaweedFS opens, by its option: without the option SeaweedFS chooses a port of its own.
S3_OPTIONS = ("s3.port", "master.port", "volume.port", "filer.port")

_BASES = {"dev": 18000, "test": 19000, "bench": 20000}
_GATEWAYS = {"dev": 8080}


@dataclass(frozen=True)
class ServicePorts:
    """`api` is public through the gateway; the other two carry health and metrics of the two processes."""

    api: int
    internal: int
    worker: int


@dataclass(frozen=True)
class Ports:
    """Every port of one copy of the stack; all of them on the loopback address."""

    gateway: int
    kafka: int
    kafka_controller: int
    kafka_inside: int
    mongo: int
    redis: int
    sms_carrier: int
    card_reader: int
    prometheus: int
    node_exporter: int
    alertmanager: int
    alert_sender: int
    alert_inbox: int
    alert_mailbox: int
    server_exporter: int
    redis_exporter: int
    blackbox_exporter: int
    s3: dict[str, int]
    services: dict[str, ServicePorts]

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the ports of the stack `dev`, `test`, `bench`, or of any other name, from which they are derived."""
        base = _BASES.get(name) or 21000 + crc32(name.encode()) % 100 * 100
        return cls(
            gateway=_GATEWAYS.get(name, base + 80),
            kafka=base + 1,
            kafka_controller=base + 2,
            kafka_inside=base + 84,
            mongo=base + 3,
            redis=base + 4,
            sms_carrier=base + 5,
            card_reader=base + 6,
            prometheus=base + 7,
            node_exporter=base + 8,
            alertmanager=base + 9,
            alert_sender=base + 81,
            alert_inbox=base + 82,
            alert_mailbox=base + 83,
            server_exporter=base + 85,
            redis_exporter=base + 86,
            blackbox_exporter=base + 87,
            s3=_s3_ports(base + 90),
            services={service: _service_ports(base, place) for place, service in enumerate(SERVICES, start=1)},
        )

    def by_use(self) -> dict[int, str]:
        """Return each port with the name of the program that listens there."""
        servers = {
            self.gateway: "gateway",
            self.kafka: "kafka",
            self.kafka_controller: "kafka",
            self.kafka_inside: "kafka",
            self.mongo: "mongo",
            self.redis: "redis",
            self.sms_carrier: "sms-carrier",
            self.card_reader: "card-reader",
            self.prometheus: "prometheus",
            self.node_exporter: "node-exporter",
            self.alertmanager: "alertmanager",
            self.alert_sender: "alert-sender",
            self.alert_inbox: "alert-inbox",
            self.alert_mailbox: "alert-inbox",
            self.server_exporter: "server-exporter",
            self.redis_exporter: "redis-exporter",
            self.blackbox_exporter: "blackbox-exporter",
        }
        servers |= dict.fromkeys(self.s3.values(), "s3")
        for service, ports in self.services.items():
            servers |= {ports.api: f"{service}-api", ports.internal: f"{service}-api"}
            servers |= {} if service in ONLY_API else {ports.worker: f"{service}-worker"}
        return servers


def _s3_ports(first: int) -> dict[str, int]:
    options = [option + suffix for option in S3_OPTIONS for suffix in ("", ".grpc")]
    return {option: first + place for place, option in enumerate(options)}


def _service_ports(base: int, place: int) -> ServicePorts:
    first = base + place * 10
    return ServicePorts(api=first, internal=first + 1, worker=first + 2)
