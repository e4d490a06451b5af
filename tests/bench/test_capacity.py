"""The arithmetic of `make capacity`, with figures computed by hand; and its page has the figures of the repository."""

import pytest

from bench import capacity
from bench.capacity import Figures, Plan, Replicated
from bench.capacity_command import DEFAULT, PAGE, tables, with_tables
from bench.capacity_tables import table
from bench.usage import Usage
from kit.kafka.topics import Topic

DAY_MS = 86_400_000


def usage(cpu_ms: dict[str, float], **other: dict[str, float]) -> Usage:
    return Usage(**({"cpu_ms": cpu_ms, "kafka_bytes": {}, "mongo": {}, "s3": {}, "events": {}} | other))


CREATE = usage(
    {"records-api": 2.0, "mongo": 1.5, "kafka": 1.0, "records-worker": 0.5, "subscriptions-api": 0.1},
    kafka_bytes={"records.changes": 1_000.0}, events={"records": 1.0},
)  # fmt: skip
EDIT = usage(
    {"records-api": 3.0, "mongo": 2.5, "kafka": 1.0}, kafka_bytes={"records.changes": 1_200.0}, events={"records": 1.0}
)
READ = usage({"records-api": 1.0, "mongo": 0.5})
UPLOAD = usage({"attachments-worker": 2.0, "attachments-worker/sandboxes": 20.0})
FEED = usage({"subscriptions-api": 4.0, "kafka": 0.5})
FIGURES = Figures(
    idle=usage({"records-api": 10.0, "subscriptions-api": 20.0}),
    kinds={"create": CREATE, "edit": EDIT, "read": READ, "upload": UPLOAD, "feed": FEED},
    fast_create=CREATE,
    publisher=20_000,
)
PLAN = Plan({"create": 0.5, "edit": 0.5, "read": 4, "upload": 0.1, "feed": 0.02})


def test_a_write_brings_the_requests_of_the_mix() -> None:
    write = capacity.per_write(FIGURES.kinds, PLAN.mix)
    assert write.cpu_ms["records-api"] == pytest.approx(0.5 * 2 + 0.5 * 3 + 4 * 1)
    assert write.kafka_bytes == {"records.changes": pytest.approx(1_100)}
    assert capacity.per_write(FIGURES.kinds, PLAN.mix, {"read"}).cpu_ms == {"records-api": 4.0, "mongo": 2.0}


def test_instances_divide_the_work_and_each_has_its_idle_share() -> None:
    # 1,000 writes/s × 6.5 ms are 6.5 cores; each instance has room for 0.5 - 0.01 of a core: 13.3 of them
    found = capacity.process("records-api", FIGURES, PLAN, 1_000)
    assert found.instances == 14
    assert found.cores == pytest.approx(6.5 + 14 * 0.01)
    # 0.065 of a core would fit into one, but one may be lost
    assert capacity.process("records-api", FIGURES, PLAN, 10).instances == 2


def test_what_every_instance_reads_is_not_divided() -> None:
    # at 1,000/s each reads 1,000 × 0.05 ms = 0.05 and idles at 0.02; 0.08 of the feed are shared
    found = capacity.process("subscriptions-api", FIGURES, PLAN, 1_000)
    assert found.instances == 2
    assert found.cores == pytest.approx(0.08 + 2 * 0.07)
    # at 10,000/s reading alone takes the whole 0.5: more instances don't help
    assert capacity.process("subscriptions-api", FIGURES, PLAN, 10_000).instances is None


def test_a_worker_has_two_sandboxes_which_use_cores_of_their_own() -> None:
    # 1,000/s × 2 ms are 2 cores of sandboxes: 4 of them at 50 %, 2 workers; at 5,000/s 20 of them, 10 workers
    assert capacity.process("attachments-worker", FIGURES, PLAN, 1_000).instances == 2
    assert capacity.process("attachments-worker", FIGURES, PLAN, 5_000).instances == 10


def test_reads_are_counted_on_the_leader_and_writes_on_every_member() -> None:
    # create 0.75 + edit 1.25 + read 2.0, of which only the first two are repeated on a secondary
    found = capacity.replicated("mongo", FIGURES, PLAN)
    assert [found.leader, found.follower] == pytest.approx([4.0, 2.0])


def test_a_primary_that_is_full_needs_another_replica_set() -> None:
    # 4 ms × 2,000/s are 8 cores: half of 16; above it there have to be two
    mongo = Replicated(leader=4, follower=2)
    assert [capacity.replica_sets(mongo, PLAN, rate) for rate in (2_000, 2_001, 10_000)] == [1, 2, 5]


def test_brokers_share_what_leaders_and_followers_do() -> None:
    # (1.01 + 2 × 1.0) ms × 10,000/s are 30.1 cores: 3.8 servers of which 8 cores are used
    kafka = Replicated(leader=1.01, follower=1.0)
    assert capacity.kafka_cores(kafka, PLAN, 10_000) == pytest.approx(30.1)
    assert [capacity.brokers(kafka, PLAN, rate) for rate in (100, 10_000)] == [3, 4]


def test_all_cores_are_those_of_processes_replicas_and_idle_ones() -> None:
    figures = Figures(usage({"kafka": 100.0, "redis": 5.0}), {"create": CREATE}, CREATE, 20_000)
    # at 10/s: processes (2 + 0.5 + 2 × 0.1) ms × 10, three members each 1.5 and 1.0 ms × 10, idle 3 × 0.1 + 0.005
    assert capacity.busy_cores(figures, Plan({"create": 1}), 10) == pytest.approx(0.027 + 0.045 + 0.030 + 0.305)


def test_a_day_has_the_busy_hours_of_the_plan() -> None:
    assert capacity.a_day(1_000, PLAN, 100) == 1_000 * 100 * 8 * 3600


def test_a_topic_keeps_its_time_and_one_segment_more() -> None:
    messages = Topic(name="m", config={"cleanup.policy": "delete", "retention.ms": f"{30 * DAY_MS}"})
    assert capacity.kept_bytes(messages, 1_000, 24) == 30_000 + 7_000  # the default segment is a week long …
    assert capacity.kept_bytes(messages, 1e9, 24) == 30e9 + 7e9
    assert capacity.kept_bytes(messages, 1e10, 24) == 300e9 + 24 * 2**30  # … or 1 GiB in each partition
    changes = {"max.compaction.lag.ms": f"{14 * DAY_MS}", "segment.ms": f"{DAY_MS // 4}"}
    assert capacity.kept_bytes(Topic(name="c", config=changes), 1_000, 24) == 14_000 + 250


def test_only_new_documents_stay_for_good() -> None:
    topic = Topic(name="records.changes", config={"cleanup.policy": "compact"})
    assert capacity.grown_bytes([topic], FIGURES, PLAN) == pytest.approx(0.5 * 1_000)


def test_limits_are_in_the_order_in_which_they_are_reached() -> None:
    found = {limit.what: limit.writes for limit in capacity.limits(FIGURES, PLAN, {"records-api": 8})}
    assert found == {
        "8 of records-api": pytest.approx(8 * 0.49 / 0.0065),  # 603
        "24 of attachments-worker": pytest.approx(24 * 2 * 0.5 / 0.002),
        "24 of records-worker": pytest.approx(24 * 0.5 / 0.00025),
        "one primary of MongoDB with 16 cores": pytest.approx(2_000),
        "each subscriptions-api reads every event": pytest.approx(0.48 / 0.00005),
        "the one publisher of records, 1.00 events a write": pytest.approx(10_000),
    }
    assert list(found.values()) == sorted(found.values())


def test_what_idles_is_subtracted_from_the_cost_of_a_request() -> None:
    each_second = usage({"kafka": 30.0, "redis": 0.5}, mongo={"oplog_bytes": 5_000.0})
    idle = usage({"kafka": 20.0, "redis": 0.5})
    # 100 requests in 10 seconds: a tenth of what is used more in each second
    cost = each_second.since(idle).times(10 / 100)
    assert cost == usage({"kafka": 1.0, "redis": 0.0}, mongo={"oplog_bytes": 500.0})


def test_a_table_is_aligned_markdown() -> None:
    assert table(["a", "b"], [["long", "1"], ["x", "22"]]).splitlines() == [
        "| a    |  b |", "|------|---:|", "| long |  1 |", "| x    | 22 |",
    ]  # fmt: skip


def test_the_page_has_the_tables_of_the_saved_figures() -> None:
    text = PAGE.read_text()
    assert with_tables(text, tables(DEFAULT)) == text, "run `make capacity a=--write`"
