"""A second broker with a listener for subscribers, set up as docs/subscribing.md describes."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.servers import kafka_command, kafka_properties, prepare_servers
from deploy.local.stack import KAFKA_LIBS, Stack
from tests.support.pages import blocks
from tests.support.processes import free_port, listens
from tests.support.waiting import eventually

HEADING = "What the operators do"
TOOLS = {"kafka-acls.sh": "org.apache.kafka.tools.AclCommand", "kafka-configs.sh": "kafka.admin.ConfigCommand"}
USER, PASSWORD = "qualification", "only-for-this-broker"

# After the local stack's own properties: the last line of a name counts.
_PROPERTIES = """
controller.quorum.voters=1@127.0.0.1:{controller}
inter.broker.listener.name=INSIDE
listeners=INSIDE://{inside},OUTSIDE://{outside},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=INSIDE://{inside},OUTSIDE://{outside}
{page}
listener.name.outside.ssl.keystore.location={keystore}
"""


@dataclass(frozen=True)
class GuardedKafka:
    """The listener `inside` allows everything without authentication; `outside` requires a user, over TLS."""

    inside: str
    outside: str
    certificate: Path

    def environment(self, password: str = PASSWORD) -> dict[str, str]:
        """The environment that the examples read."""
        return {"KAFKA_USER": USER, "KAFKA_PASSWORD": password, "KAFKA_CA": str(self.certificate)}

    def client(self, password: str = PASSWORD) -> dict[str, Any]:
        """The arguments for aiokafka's clients."""
        return {
            "bootstrap_servers": self.outside,
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=str(self.certificate)),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": USER,
            "sasl_plain_password": password,
        }


@asynccontextmanager
async def guarded_kafka(folder: Path) -> AsyncIterator[GuardedKafka]:
    """Runs the broker for the length of the block, with one user added as the page describes."""
    stack = Stack.named("guarded", folder)
    stack.servers.mkdir()
    await asyncio.to_thread(prepare_servers, stack)
    kafka = GuardedKafka(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", folder / "certificate.pem")
    with kafka_properties(stack).open("a") as properties:
        properties.write(_properties(kafka, _keystore(folder, kafka.certificate)))
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(kafka_command(stack), cwd=folder, stdout=log, stderr=log)
    try:
        await eventually(lambda: listens(kafka.outside), 60, f"the broker listens; see {log.name}")
        await asyncio.to_thread(_let_in, folder, kafka.inside)
        yield kafka
    finally:
        process.kill()
        process.wait()


def _properties(kafka: GuardedKafka, keystore: Path) -> str:
    page = blocks("subscribing.md", HEADING, "properties")
    addresses = {"inside": kafka.inside, "outside": kafka.outside, "controller": free_port()}
    return _PROPERTIES.format(page=page, keystore=keystore, **addresses)


def _keystore(folder: Path, certificate: Path) -> Path:
    """A key and a self-signed certificate for the loopback address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    certificate.write_bytes(made)
    keystore = folder / "outside.pem"
    keystore.write_bytes(secret + made)
    return keystore


def _let_in(folder: Path, inside: str) -> None:
    """Runs the page's commands, with Kafka's tools under the names that its distribution gives them."""
    tools = folder / "tools"
    tools.mkdir()
    for name, java_class in TOOLS.items():
        (tools / name).write_text(f'#!/bin/sh\nexec java -cp "{KAFKA_LIBS}/*" {java_class} "$@"\n')
        (tools / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "INSIDE": inside, "PASSWORD": PASSWORD}
    command = ["bash", "-euc", blocks("subscribing.md", HEADING)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
