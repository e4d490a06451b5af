"""The plan: one principal for each process, and for each tool, with the least that it needs in each server.

Groups, topics and transactional ids come from the services' own tables (`consumers.py`, `publications.py`), so a
service that declares a new group is granted it. What a table can't show, like who uses Redis, is written here and
compared with the wiring by tests/shape/test_principals.py. A principal without grants in a server has no user there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from contracts import EVENTS
from contracts.audit import ActionRecorded, HeadSigned
from contracts.sessions import ENDED_SESSIONS
from kit.kafka.access import Grant, Operation, Resource
from kit.kafka.topics import Topic, read_file
from kit.messaging.groups import Group

TOPICS = Path(__file__).parents[1] / "topics.yaml"
SERVICES = ("identity", "records", "attachments", "signature", "notify", "subscriptions", "portal")
WITHOUT_DATABASE = ("portal",)
WITHOUT_WORKER = ("portal",)
WITH_BUCKET = ("identity", "records", "attachments", "signature")
REDIS_WORKERS = ("identity",)
"""Services whose worker uses Redis; the api of every service does."""
TOOLS_WITH_PORT = ("backup", "monitoring")
"""Tools that show metrics on a port of their own; every process does."""
ADMIN = "admin"
"""The super user of every server; it is not in the plan."""

EVERY = "*"
"""Kafka's name for every resource of a kind."""
INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state")

PATIENCE_SECONDS = 120
"""How long the plan is applied again while a server is unavailable: it may have just been started."""
OPLOG = "oplog.rs"
API_ACTIONS = (
    "find", "insert", "update", "remove", "createCollection", "createIndex", "dropIndex", "collMod", "listCollections",
    "listIndexes",
)  # fmt: skip
"""No user may drop or rename a collection, because that would end the change stream."""
CONNECTION = ("auth", "hello", "ping", "select", "quit")
SCRIPTS = ("eval", "evalsha", "script|load")
VALUES = ("get", "set", "getdel", "del", "expire", "ttl", "incrby", "lindex", "lpush", "ltrim")
"""What `Cache` and `RateLimits` use, in scripts too."""
LINES = ("time", "hmget", "hset")
"""What `WaitingLine` uses beside them."""


@dataclass(frozen=True)
class DatabaseGrant:
    """Actions on a collection of a database; without one on all of them but the system's."""

    database: str
    actions: tuple[str, ...]
    collection: str = ""


@dataclass(frozen=True)
class KeyGrant:
    """Redis keys by pattern: read and written, or only read."""

    pattern: str
    write: bool = True


@dataclass(frozen=True)
class BucketGrant:
    """Actions on a bucket's objects."""

    bucket: str
    actions: tuple[Literal["Read", "Write", "List"], ...]


@dataclass(frozen=True)
class Principal:
    """A user, of the same name in each server where it has grants. `cluster`: actions on MongoDB itself, on no data."""

    name: str
    service: str | None = None
    kafka: tuple[Grant, ...] = ()
    mongo: tuple[DatabaseGrant, ...] = ()
    cluster: tuple[str, ...] = ()
    redis: tuple[KeyGrant, ...] = ()
    commands: tuple[str, ...] = ()
    buckets: tuple[BucketGrant, ...] = ()


@cache
def principals() -> dict[str, Principal]:
    """All principals of the plan by name."""
    found = [_process(service, role) for service in SERVICES for role in roles_of(service)]
    found += [_topics(), _dead_letters(), _backup(), _restore(), _monitoring()]
    return {principal.name: principal for principal in found}


def with_port() -> list[str]:
    """The principals with ports of their own, which need a certificate."""
    return [name for name, principal in principals().items() if principal.service or name in TOOLS_WITH_PORT]


def roles_of(service: str) -> tuple[str, ...]:
    """The roles of a service's processes."""
    return ("api",) if service in WITHOUT_WORKER else ("api", "worker")


def groups_of(service: str) -> Sequence[Group[Any]]:
    """The consumer groups that a service declares."""
    module = f"services.{service}.consumers"
    return import_module(module).GROUPS if find_spec(module) else ()


def publishes(service: str) -> bool:
    """Whether a service publishes its documents."""
    return find_spec(f"services.{service}.publications") is not None


def topics_written(service: str) -> list[str]:
    """The topics of a service's events; failed publications and tombstones go to `<service>.changes`.

    Every service's actions go to the audit trail, whose signed heads identity publishes.
    """
    own = {event.TOPIC for event in EVENTS if event.TOPIC.startswith(f"{service}.")}
    audited = {ActionRecorded.TOPIC} | ({HeadSigned.TOPIC} if service == "identity" else set())
    return sorted({f"{service}.changes"} | own | audited)


def _process(service: str, role: str) -> Principal:
    api = role == "api"
    redis = api or service in REDIS_WORKERS
    return Principal(
        f"{service}-{role}",
        service,
        kafka=_grants(_api_kafka(service) if api else _worker_kafka(service)),
        mongo=() if service in WITHOUT_DATABASE else tuple(_databases(service, api=api)),
        redis=tuple(_keys(service)) if redis else (),
        commands=_commands(service) if redis else (),
        buckets=(BucketGrant(service, ("Read", "Write", "List")),) if service in WITH_BUCKET else (),
    )


def _api_kafka(service: str) -> Iterable[tuple[Resource, str, Operation]]:
    if service == "portal":
        yield from _dead_letter_tool()
    if service == "subscriptions":
        yield from _change_feed()


def _worker_kafka(service: str) -> Iterable[tuple[Resource, str, Operation]]:
    for group in groups_of(service):
        yield from _consuming(group)
    if publishes(service):
        yield from _publishing(service)
    if service == "identity":  # `python -m services.identity audit verify`, run with the worker's settings
        yield "topic", HeadSigned.TOPIC, "read"
    if service == "subscriptions":
        yield from _change_feed()
        yield from _assigned(import_module("services.subscriptions.wiring.worker").ASSIGNMENT)


def _consuming(group: Group[Any]) -> Iterable[tuple[Resource, str, Operation]]:
    """It reads its events and writes its dead letters; those of an erased person it finds and removes."""
    dead, replayed = group.own_topics
    yield "group", group.name, "read"
    for topic in (*group.topics, replayed, dead):
        yield "topic", topic, "read"
    yield "topic", dead, "write"


def _publishing(service: str) -> Iterable[tuple[Resource, str, Operation]]:
    """Events and the position of the group `<service>.publisher` in one transaction."""
    position = f"{service}.publisher"
    yield from _assigned(position)
    yield "transactional_id", f"{position}.0", "write"
    for topic in topics_written(service):
        yield "topic", topic, "write"


def _assigned(name: str) -> Iterable[tuple[Resource, str, Operation]]:
    """Leadership, or a share of the work: membership of a group on the empty topic of the same name."""
    yield "group", name, "read"
    yield "topic", name, "read"


def _change_feed() -> Iterable[tuple[Resource, str, Operation]]:
    yield "topic", import_module("services.subscriptions.wiring.shared").TOPIC, "read"


def _all_groups() -> list[Group[Any]]:
    return [group for service in SERVICES for group in groups_of(service)]


def _dead_letter_tool() -> Iterable[tuple[Resource, str, Operation]]:
    for group in _all_groups():
        dead, replayed = group.own_topics
        yield "topic", dead, "read"
        yield "topic", dead, "write"
        yield "topic", replayed, "write"
    yield "topic", ActionRecorded.TOPIC, "write"


def _databases(service: str, *, api: bool) -> Iterable[DatabaseGrant]:
    """A worker that publishes also reads the change stream, and counts its lag in the oplog (decision 0007)."""
    streams = not api and publishes(service)
    yield DatabaseGrant(service, (*API_ACTIONS, "changeStream") if streams else API_ACTIONS)
    if streams:
        yield DatabaseGrant("local", ("find",), OPLOG)


def _keys(service: str) -> Iterable[KeyGrant]:
    yield KeyGrant(f"{service}:*")
    yield KeyGrant(ENDED_SESSIONS, write=service == "identity")


def _commands(service: str) -> tuple[str, ...]:
    publishing = ("time", "xadd") if service == "identity" else ()
    waiting = LINES if service == "portal" else ()
    return (*CONNECTION, *SCRIPTS, *VALUES, "xread", *publishing, *waiting)


def declared_topics() -> list[Topic]:
    """The topics of deploy/topics.yaml."""
    return read_file(TOPICS)


def _topics() -> Principal:
    """`python -m kit.kafka.topics apply`: creates and configures topics; it can neither read nor write them."""
    may: tuple[Operation, ...] = ("create", "describe", "describe_configs", "alter_configs")
    return Principal(
        "topics", kafka=_grants(("topic", topic.name, each) for topic in declared_topics() for each in may)
    )


def _dead_letters() -> Principal:
    """`python -m kit.kafka.dead_letters`, for operators."""
    return Principal("dead-letters", kafka=_grants(_dead_letter_tool()))


def _with_database() -> list[str]:
    return [service for service in SERVICES if service not in WITHOUT_DATABASE]


def _backup() -> Principal:
    """`python -m deploy.backup dump`: reads everything, and what changes meanwhile; writes nothing."""
    actions = ("find", "listCollections", "changeStream")
    return Principal(
        "backup",
        mongo=tuple(DatabaseGrant(service, actions) for service in _with_database()),
        buckets=tuple(BucketGrant(service, ("Read", "List")) for service in WITH_BUCKET),
    )


def _restore() -> Principal:
    """`python -m deploy.backup restore`: fills empty databases and buckets, reads topics, moves groups."""
    actions = ("find", "insert", "update", "remove", "createCollection", "listCollections")
    return Principal(
        "restore",
        kafka=_grants(_restoring()),
        mongo=tuple(DatabaseGrant(service, actions) for service in _with_database()),
        buckets=tuple(BucketGrant(service, ("Read", "Write", "List")) for service in WITH_BUCKET),
    )


def _restoring() -> Iterable[tuple[Resource, str, Operation]]:
    for service in filter(publishes, SERVICES):
        yield from _assigned(f"{service}.publisher")
        yield "topic", f"{service}.changes", "read"
    identity = import_module("services.identity.consumers")
    for group in (identity.ACCESSES, identity.AUDIT):
        yield "group", group.name, "read"
        for topic in group.topics:
            yield "topic", topic, "read"
    yield "topic", HeadSigned.TOPIC, "read"


def _monitoring() -> Principal:
    """Exporters: the servers' own figures, and how far groups are behind; no keys, documents or events.

    Groups of other systems have any name. MongoDB's role `clusterMonitor` would read the oplog: every document.
    """
    topics = (*INTERNAL_TOPICS, *(topic.name for topic in declared_topics()))
    return Principal(
        "monitoring",
        kafka=_grants([*(("topic", name, "describe") for name in topics), ("group", EVERY, "describe")]),
        cluster=("replSetGetStatus", "serverStatus"),
        commands=(*CONNECTION, "info"),
    )


def _grants(granted: Iterable[tuple[Resource, str, Operation]]) -> tuple[Grant, ...]:
    return tuple(sorted({Grant(*each) for each in granted}))
