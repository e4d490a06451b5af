"""What operators are told, from samples made by hand: a figure that is wrong would wake or spare the wrong person."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kit.kafka.dead_letters import DeadLetter
from services.portal.operations.dashboard import dashboard
from services.portal.operations.dead_letters import grouped_dead_letters, outline
from services.portal.operations.monitor import MetricsPeriod, MetricsSample
from services.portal.operations.process_status import ProcessStatus

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
Figures = Mapping[Any, float]


def glance(figures: Figures, **checks: str) -> ProcessStatus:
    return ProcessStatus(
        True, checks or {"mongo": "ok"}, {(name, frozenset(labels)): v for (name, labels), v in figures.items()}
    )


def period(before: dict[str, ProcessStatus], after: dict[str, ProcessStatus]) -> MetricsPeriod:
    return MetricsPeriod(MetricsSample(NOON - timedelta(minutes=15), before), MetricsSample(NOON, after))


def outcome(name: str, word: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, (("outcome", word),)


def letter(group: str, cause: str, minute: int) -> DeadLetter:
    at = NOON + timedelta(minutes=minute)
    return DeadLetter(group, f"t/0/{minute}", at, {"dead_cause": cause}, b"{}")


def test_all_is_well() -> None:
    told = dashboard(period({}, {"identity-api": glance({})}), [])
    assert told.problems == []
    assert {tile.tone for tile in told.tiles} == {"good"}


def test_a_counter_tells_what_grew_in_all_processes_and_one_that_began_anew_counts_whole() -> None:
    right = outcome("logins_total", "right")
    before = {"a": glance({right: 100}), "b": glance({right: 50})}
    after = {"a": glance({right: 107}), "b": glance({right: 3}), "c": glance({right: 2})}
    assert dashboard(period(before, after), []).logins["登录成功"] == 7 + 3 + 2


def test_a_process_that_does_not_answer_and_one_with_a_failing_check_are_troubles() -> None:
    after = {"records-api": ProcessStatus(False), "notify-worker": glance({}, mongo="ok", kafka="Kafka is away")}
    told = dashboard(period({}, after), [])
    assert told.problems == ["records-api 没有应答", "notify-worker 未就绪", "Kafka 连不上"]
    assert told.processes[1].why == "kafka：Kafka is away"


def test_a_publisher_is_late_or_missing() -> None:
    def of(leads: float, late: float) -> list[str]:
        labels = (("service", "records"),)
        figures = {("publisher_leads", labels): leads, ("publisher_lag_seconds", labels): late}
        return dashboard(period({}, {"records-worker": glance(figures)}), []).problems

    assert (of(1, 5), of(1, 31), of(0, 0)) == ([], ["records 积压"], ["records 没有发布者"])


def test_few_log_ins_that_fail_are_no_trouble_many_are() -> None:
    def tone(right: int, wrong: int) -> str:
        figures = {outcome("logins_total", "right"): right, outcome("logins_total", "wrong"): wrong}
        return dashboard(period({}, {"identity-api": glance(figures)}), []).tiles[1].tone

    assert (tone(0, 5), tone(90, 10), tone(10, 90)) == ("good", "good", "bad")


def test_an_operator_left_alone_or_alarming_is_a_trouble() -> None:
    state = ("sms_carrier_state", (("provider", "tencent"),))
    alarm = ("sms_carrier_errors_total", (("provider", "aliyun"), ("reason", "money")))
    told = dashboard(period({}, {"notify-worker": glance({state: 2, alarm: 1})}), [])
    assert told.problems == ["阿里云 需要处理", "腾讯云 暂停使用"]
    assert told.carriers[0].why == "money 1 次"


def test_letters_lie_in_piles_by_group_and_cause_oldest_first() -> None:
    found = grouped_dead_letters([letter("b", "x", 2), letter("a", "y", 1), letter("b", "x", 0)])
    assert [(pile.group, pile.cause, pile.count, pile.since) for pile in found] == [
        ("a", "y", 1, NOON + timedelta(minutes=1)), ("b", "x", 2, NOON),
    ]  # fmt: skip
    assert dashboard(period({}, {}), found).problems == ["a 死信", "b 死信"]


def test_without_kafka_the_page_says_so() -> None:
    told = dashboard(period({}, {}), None)
    assert (told.dead_letters, told.tiles[-1].tone) == (None, "bad")


def test_the_outline_of_a_letter_tells_nothing_of_a_person() -> None:
    data = {"practitioner_id": "p-1", "kind": "education", "data": {"school": "同济大学", "level": 3},
            "changed": ["data"], "sex": "male", "birth_year": 1990, "张伟": 1, "attachment": None}  # fmt: skip
    told = json.loads(outline(json.dumps(data).encode()))
    assert told == {
        "practitioner_id": "p-1", "kind": "education", "data": {"school": "…（4 字）", "level": "…"},
        "changed": ["data"], "sex": "…（4 字）", "birth_year": "…", "…": "…", "attachment": None,
    }  # fmt: skip
    for broken in (b"", b"\xff", b"{", b"[" * 100_000):
        assert outline(broken) == "（不是有效的 JSON）"
