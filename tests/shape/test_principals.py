"""The plan of access: everyone gets what the code needs, exactly, and nothing is granted by a wildcard."""

from collections import defaultdict
from pathlib import Path

import pytest

from contracts import EVENTS
from contracts.audit import ActionRecorded, HeadSigned
from contracts.sessions import ENDED_SESSIONS
from deploy.access.principals import SERVICES, Principal, declared_topics, groups_of, principals, publishes, roles_of
from kit.kafka.access import Grant
from tests.support import setting_names

ROOT = Path(__file__).parents[2]
PROCESSES = [principal for principal in principals().values() if principal.service]
FEED = {"subscriptions-api", "subscriptions-worker"}
TOOLS = {"portal-api", "dead-letters"}
OTHERS_GROUPS = Grant("group", "*", "describe")
"""How far behind other systems are, whatever the name of their groups."""
every_principal = pytest.mark.parametrize("principal", principals().values(), ids=principals())
every_process = pytest.mark.parametrize("process", PROCESSES, ids=[each.name for each in PROCESSES])


def granted(resource: str, operation: str) -> dict[str, set[str]]:
    """By name of the resource, who may do this; `restore` and `monitoring` have tests of their own."""
    found = defaultdict[str, set[str]](set)
    for name, principal in principals().items():
        for grant in principal.kafka:
            if (grant.resource, grant.operation) == (resource, operation) and name != "restore":
                found[grant.name].add(name)
    return dict(found)


def test_there_is_a_principal_for_every_process() -> None:
    assert sorted(SERVICES) == setting_names.SERVICES
    for service in SERVICES:
        assert list(roles_of(service)) == setting_names.roles(service)
        assert {f"{service}-{role}" for role in roles_of(service)} <= principals().keys()


def test_a_topic_is_written_by_its_owner_and_by_nobody_else() -> None:
    wanted = {event.TOPIC: {f"{event.TOPIC.partition('.')[0]}-worker"} for event in EVENTS}
    wanted[ActionRecorded.TOPIC] = {f"{service}-worker" for service in SERVICES if publishes(service)} | TOOLS
    wanted[HeadSigned.TOPIC] = {"identity-worker"}
    for service in SERVICES:
        for group in groups_of(service):
            dead, replayed = group.own_topics
            wanted |= {dead: {f"{service}-worker"} | TOOLS, replayed: set(TOOLS)}
    assert granted("topic", "write") == wanted


def test_a_topic_is_read_by_the_groups_that_declare_it_and_by_nobody_else() -> None:
    wanted = defaultdict[str, set[str]](
        set, {"records.changes": set(FEED), "subscriptions.webhooks": {"subscriptions-worker"}}
    )
    wanted[HeadSigned.TOPIC].add("identity-worker")
    for service in SERVICES:
        worker = f"{service}-worker"
        if publishes(service):
            wanted[f"{service}.publisher"].add(worker)
        for group in groups_of(service):
            dead, replayed = group.own_topics
            for topic in (*group.topics, replayed):
                wanted[topic].add(worker)
            wanted[dead] |= {worker} | TOOLS
    assert granted("topic", "read") == wanted


def test_every_topic_of_the_file_is_used_and_every_used_one_is_in_the_file() -> None:
    topics = {topic.name for topic in declared_topics()}
    assert granted("topic", "read").keys() | granted("topic", "write").keys() == topics
    assert granted("topic", "create") == {name: {"topics"} for name in topics}


def test_a_group_and_a_transactional_id_belong_to_one_worker() -> None:
    groups = {group.name: {f"{service}-worker"} for service in SERVICES for group in groups_of(service)}
    publishers = [service for service in SERVICES if publishes(service)]
    groups |= {f"{service}.publisher": {f"{service}-worker"} for service in publishers}
    assert granted("group", "read") == groups | {"subscriptions.webhooks": {"subscriptions-worker"}}
    ids = {f"{service}.publisher.0": {f"{service}-worker"} for service in publishers}
    assert granted("transactional_id", "write") == ids


@every_principal
def test_nothing_is_granted_by_a_wildcard_and_nobody_administers_users(principal: Principal) -> None:
    assert not [each for each in principal.kafka if each.prefixed or ("*" in each.name and each != OTHERS_GROUPS)]
    assert {grant.resource for grant in principal.kafka} <= {"topic", "group", "transactional_id"}
    assert not [grant for grant in principal.kafka if grant.operation in ("alter", "delete", "cluster_action")]
    assert not {"dropDatabase", "dropCollection", "renameCollectionSameDB", "anyAction"} & {
        action for grant in principal.mongo for action in grant.actions
    }
    assert not [command for command in principal.commands if "@" in command or command in ("keys", "scan", "flushall")]


@every_process
def test_a_process_has_its_own_database_keys_and_bucket_and_no_other(process: Principal) -> None:
    own = process.service
    assert [each for each in process.mongo if each.database not in (own, "local")] == []
    assert {each.collection for each in process.mongo if each.database == "local"} <= {"oplog.rs"}
    foreign = [each for each in process.redis if not each.pattern.startswith(f"{own}:")]
    assert [(each.pattern, each.write) for each in foreign] in ([], [(ENDED_SESSIONS, False)])
    assert {each.bucket for each in process.buckets} <= {own}


@every_process
def test_a_process_is_granted_what_its_wiring_opens(process: Principal) -> None:
    """What a process imports shows what it opens: the lists of the plan must agree with it."""
    service, role = process.name.rsplit("-", 1)
    folder = ROOT / "services" / service / "wiring"
    text = (folder / f"{role}.py").read_text()
    shared = (folder / "shared.py").read_text() if "open_dependencies" in text else ""
    opened = text + shared
    assert bool(process.redis) == ("RedisServer(" in opened)
    assert bool(process.mongo) == ("mongo.connect(" in opened)
    assert bool(process.buckets) == ("blobs.connect(" in opened or "encrypted_bucket.connect(" in opened)
    assert bool(process.kafka) == ("settings.kafka" in text)
    streams = any("changeStream" in grant.actions for grant in process.mongo)
    assert streams == ("Publisher(" in text)


def test_who_only_looks_can_neither_read_nor_write() -> None:
    watching = principals()["monitoring"]
    assert {grant.operation for grant in watching.kafka} == {"describe"}
    assert [name for name, each in principals().items() if OTHERS_GROUPS in each.kafka] == ["monitoring"]
    assert (watching.mongo, watching.redis, watching.buckets) == ((), (), ())
    assert watching.cluster == ("replSetGetStatus", "serverStatus")
    assert set(watching.commands) == {"auth", "hello", "info", "ping", "quit", "select"}
    reading = {"find", "listCollections", "changeStream"}
    assert {action for grant in principals()["backup"].mongo for action in grant.actions} == reading
    assert principals()["backup"].kafka == ()


def test_a_restore_moves_the_groups_that_it_resets_and_reads_the_topics_of_published_documents() -> None:
    grants = set(principals()["restore"].kafka)
    for service in filter(publishes, SERVICES):
        assert Grant("group", f"{service}.publisher", "read") in grants
        assert Grant("topic", f"{service}.changes", "read") in grants
    assert not [grant for grant in grants if grant.operation == "write"]
