"""The operations dashboard, from samples made by hand: a wrong figure would alert, or fail to alert, an operator."""

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


def dead_letter(group: str, cause: str, minute: int) -> DeadLetter:
    at = NOON + timedelta(minutes=minute)
    return DeadLetter(group, f"t/0/{minute}", at, {"dead_cause": cause}, b"{}")


def test_a_healthy_system_has_no_problems() -> None:
    shown = dashboard(period({}, {"identity-api": glance({})}), [])
    assert shown.problems == []
    assert {tile.tone for tile in shown.tiles} == {"good"}


def test_a_counter_is_the_increase_over_all_processes_and_a_reset_counts_fully() -> None:
    right = outcome("logins_total", "right")
    before = {"a": glance({right: 100}), "b": glance({right: 50})}
    after = {"a": glance({right: 107}), "b": glance({right: 3}), "c": glance({right: 2})}
    assert dashboard(period(before, after), []).logins["登录成功"] == 7 + 3 + 2


def test_an_unreachable_process_and_a_failing_check_are_problems() -> None:
    after = {"records-api": ProcessStatus(False), "notify-worker": glance({}, mongo="ok", kafka="Kafka is away")}
    shown = dashboard(period({}, after), [])
    assert shown.problems == ["records-api 没有应答", "notify-worker 未就绪", "Kafka 连不上"]
    assert shown.processes[1].why == "kafka：Kafka is away"


def test_a_publisher_is_late_or_missing() -> None:
    def of(leads: float, late: float) -> list[str]:
        labels = (("service", "records"),)
        figures = {("publisher_leads", labels): leads, ("publisher_lag_seconds", labels): late}
        return dashboard(period({}, {"records-worker": glance(figures)}), []).problems

    assert (of(1, 5), of(1, 31), of(0, 0)) == ([], ["records 积压"], ["records 没有发布者"])


def test_many_failed_log_ins_are_a_problem_and_few_are_not() -> None:
    def tone(right: int, wrong: int) -> str:
        figures = {outcome("logins_total", "right"): right, outcome("logins_total", "wrong"): wrong}
        return dashboard(period({}, {"identity-api": glance(figures)}), []).tiles[1].tone

    assert (tone(0, 5), tone(90, 10), tone(10, 90)) == ("good", "good", "bad")


def test_an_open_breaker_or_an_alarming_carrier_is_a_problem() -> None:
    state = ("sms_carrier_state", (("provider", "tencent"),))
    alarm = ("sms_carrier_errors_total", (("provider", "aliyun"), ("reason", "money")))
    shown = dashboard(period({}, {"notify-worker": glance({state: 2, alarm: 1})}), [])
    assert shown.problems == ["阿里云 需要处理", "腾讯云 暂停使用"]
    assert shown.carriers[0].why == "money 1 次"


def test_dead_letters_are_counted_by_group_and_cause_oldest_first() -> None:
    found = grouped_dead_letters([dead_letter("b", "x", 2), dead_letter("a", "y", 1), dead_letter("b", "x", 0)])
    assert [(pile.group, pile.cause, pile.count, pile.since) for pile in found] == [
        ("a", "y", 1, NOON + timedelta(minutes=1)), ("b", "x", 2, NOON),
    ]  # fmt: skip
    assert dashboard(period({}, {}), found).problems == ["a 死信", "b 死信"]


def test_without_kafka_the_page_reports_it() -> None:
    shown = dashboard(period({}, {}), None)
    assert (shown.dead_letters, shown.tiles[-1].tone) == (None, "bad")


def test_the_outline_of_a_dead_letter_has_no_personal_data() -> None:
    data = {"practitioner_id": "p-1", "kind": "education", "data": {"school": "同济大学", "level": 3},
            "changed": ["data"], "sex": "male", "birth_year": 1990, "张伟": 1, "attachment": None}  # fmt: skip
    shown = json.loads(outline(json.dumps(data).encode()))
    assert shown == {
        "practitioner_id": "p-1", "kind": "education", "data": {"school": "…（4 字）", "level": "…"},
        "changed": ["data"], "sex": "…（4 字）", "birth_year": "…", "…": "…", "attachment": None,
    }  # fmt: skip
    for broken in (b"", b"\xff", b"{", b"[" * 100_000):
        assert outline(broken) == "（不是有效的 JSON）"
