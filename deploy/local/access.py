"""Access inside one copy of the stack: certificates, users, and how each user connects to the servers."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from deploy.access import kafka, mongo
from deploy.access.authority import Authority
from deploy.access.principals import ADMIN, principals, with_port
from deploy.access.s3 import buckets
from deploy.local.ports import HOST
from deploy.local.secrets import Secrets, write_private
from deploy.local.stack import Stack
from kit.files import blobs
from kit.settings import BlobSettings, KafkaSettings, MongoSettings

SUBSCRIBER = "demo"
"""The downstream system of the demo; its user in Kafka is `subscriber-demo`."""
SUBSCRIBED = ("records.changes", "identity.changes")
SUBSCRIBER_USER = f"{kafka.SUBSCRIBER}{SUBSCRIBER}"
_SERVERS = ("kafka", "mongo", "redis", "s3")
_ONLY_IN_CLUSTER = ("sentinel",)


def issue_certificates(stack: Stack) -> None:
    """Make the authorities and the certificates that are missing, or have less than a third of their life left.

    The components of SeaweedFS accept each other by certificates of an authority of their own: with one of the
    others' a service could read every bucket.
    """
    authority = Authority.in_folder(stack.certificates, f"stack {stack.name}")
    also = [kind for kind in _ONLY_IN_CLUSTER if stack.layout.of(kind)]
    for name in (*_SERVERS, *also, *with_port()):
        authority.issue(name, hosts(stack, name), stack.certificates)
    inside = s3_inside(stack)
    Authority.in_folder(inside, f"S3 of stack {stack.name}").issue("s3", hosts(stack, "s3"), inside)


def hosts(stack: Stack, name: str) -> list[str]:
    """Return the names and addresses in a program's certificate; tools have the loopback address."""
    return stack.layout.addresses(name) if stack.layout.of(name) else ["localhost", HOST]


def s3_inside(stack: Stack) -> Path:
    """Return the folder with the authority and certificate of SeaweedFS's components."""
    return stack.certificates / "s3-inside"


def ca(stack: Stack) -> Path:
    return stack.certificates / "ca.pem"


def passwords(secrets: Secrets) -> Mapping[str, str]:
    """Return the password of every user by name, the same in each server."""
    return {name: secrets.password(name) for name in (ADMIN, *principals())}


def kafka_settings(stack: Stack, secrets: Secrets, user: str = ADMIN) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {"servers": kafka_servers(stack), "user": user, "password": secrets.password(user), "ca": ca(stack)}
    )


def kafka_servers(stack: Stack) -> str:
    return ",".join(f"{instance.host}:{stack.ports.kafka}" for instance in stack.layout.of("kafka"))


def mongo_url(stack: Stack, secrets: Secrets, user: str = ADMIN) -> str:
    login = f"{user}:{secrets.password(user)}@"
    members = ",".join(mongo_members(stack))
    return f"mongodb://{login}{members}/?replicaSet=rs0&authSource=admin&tls=true"


def mongo_members(stack: Stack) -> list[str]:
    """Return the addresses of the replica set's members."""
    return [f"{instance.host}:{stack.ports.mongo}" for instance in stack.layout.of("mongo")]


def redis_url(stack: Stack, secrets: Secrets, user: str = ADMIN) -> str:
    """Return the URL for this user; without a name one that only names the server."""
    login = f"{user}:{secrets.password(user)}@" if user else ""
    return f"rediss://{login}{stack.host('redis')}:{stack.ports.redis}/0"


def s3_url(stack: Stack) -> str:
    return f"https://{stack.host('s3')}:{stack.ports.s3['s3.port']}"


def blob_settings(stack: Stack, secrets: Secrets, bucket: str, user: str = ADMIN) -> BlobSettings:
    """Return the settings of a bucket; a user's access key is its name."""
    keys = {"access_key": user, "secret_key": secrets.password(user)}
    return BlobSettings.model_validate({"endpoint": s3_url(stack), **keys, "bucket": bucket, "ca": ca(stack)})


async def grant(stack: Stack, secrets: Secrets) -> None:
    """Create the users of Kafka and MongoDB with what the plan grants, the demo's subscriber, and the buckets.

    Redis and SeaweedFS read theirs from files when they start.
    """
    admin, known = kafka_settings(stack, secrets), passwords(secrets)
    store = MongoSettings.model_validate({"url": mongo_url(stack, secrets), "ca": ca(stack)})
    await asyncio.gather(kafka.apply(admin, known), mongo.apply(store, known), _create_buckets(stack, secrets))
    password = secrets.password(SUBSCRIBER_USER)
    await kafka.grant_subscriber(admin, SUBSCRIBER, SUBSCRIBED, password)
    write_private(stack.client_properties, _client_properties(stack, password))


async def _create_buckets(stack: Stack, secrets: Secrets) -> None:
    for name in buckets():
        async with blobs.connect(blob_settings(stack, secrets, name)) as bucket:
            await bucket.prepare()


def _client_properties(stack: Stack, password: str) -> str:
    login = f'username="{SUBSCRIBER_USER}" password="{password}"'
    return f"""\
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required {login};
ssl.truststore.type=PEM
ssl.truststore.location={ca(stack)}
group.id={SUBSCRIBER}.console
"""
