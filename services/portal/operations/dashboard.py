"""The dashboard's contents, from metrics and dead letters: problems, tiles, and tables."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.portal.operations.dead_letters import DeadLetterGroup
from services.portal.operations.monitor import MetricsPeriod
from services.portal.wording import PROVIDERS

SERVERS = {"mongo": "MongoDB", "kafka": "Kafka", "redis": "Redis", "bucket": "S3 对象存储"}
"""The servers by the names of their checks."""
CARRIER_STATES = (("good", "正常"), ("warn", "试探中"), ("bad", "暂停使用"))
COUNTED_STATES = ("sent", "delivered", "failed", "expired")
LOGIN_OUTCOMES = {
    "asked": "申请动态密码",
    "right": "登录成功",
    "wrong": "动态密码错误",
    "expired": "动态密码失效",
    "limited": "过于频繁",
}
STAFF_OUTCOMES = {"right": "登录成功", "wrong": "登录失败", "limited": "过于频繁"}
UPLOADS = {"attachment": "附件", "signature": "签名采集表"}
VERDICTS = {"accepted": "已通过", "refused": "未通过"}
LATE_SECONDS, LARGE_BACKLOG = 30, 1_000
MIN_TRIES, LOW_SUCCESS = 20, 0.8
"""The success rate of log-ins is checked from `MIN_TRIES` on; below `LOW_SUCCESS` it is a problem."""


@dataclass(frozen=True)
class DashboardTile:
    """One figure with its explanation; `tone` is `good` or `bad`."""

    tone: str
    title: str
    figure: str
    more: str


@dataclass(frozen=True)
class Row:
    """A row of a table: name, state and its tone, figures, and the reason of the state."""

    name: str
    tone: str = ""
    state: str = ""
    cells: Sequence[str | int] = ()
    why: str = ""


@dataclass(frozen=True)
class Dashboard:
    """The operators' page. `dead_letters` is None if Kafka is unavailable."""

    at: datetime
    since: timedelta
    tiles: Sequence[DashboardTile]
    processes: Sequence[Row]
    servers: Sequence[Row]
    publishers: Sequence[Row]
    consumers: Sequence[Row]
    carriers: Sequence[Row]
    logins: Mapping[str, int]
    staff: Mapping[str, int]
    uploads: Sequence[Row]
    dead_letters: Sequence[DeadLetterGroup] | None

    @property
    def problems(self) -> list[str]:
        """What operators have to act on, in a few words each."""
        rows = [*self.processes, *self.servers, *self.publishers, *self.consumers, *self.carriers]
        groups = dict.fromkeys(f"{group.group} 死信" for group in self.dead_letters or [])
        return [f"{row.name} {row.state}" for row in rows if row.tone == "bad"] + list(groups)


def dashboard(period: MetricsPeriod, dead_letters: Sequence[DeadLetterGroup] | None) -> Dashboard:
    """The dashboard from two samples and the dead letters."""
    processes, servers = _processes(period), _servers(period)
    carriers = _carriers(period)
    logins, staff = _outcomes(period, "logins_total"), _outcomes(period, "staff_logins_total")
    ready = _count_tile("进程和服务器", [*processes, *servers], "全部正常")
    tiles = [ready, _login_tile(logins), _lag_tile(period), _sms_tile(period, carriers), _upload_tile(period)]
    tiles.append(_dead_letter_tile(dead_letters))
    since = period.after.at - period.before.at
    return Dashboard(
        period.after.at, since, tiles, processes, servers, _publishers(period),
        _consumers(period, dead_letters or []), carriers,
        {word: logins[name] for name, word in LOGIN_OUTCOMES.items()},
        {word: staff[name] for name, word in STAFF_OUTCOMES.items()},
        _uploads(period), dead_letters,
    )  # fmt: skip


def _processes(period: MetricsPeriod) -> list[Row]:
    rows = []
    for name, status in period.after.processes.items():
        failing = [f"{check}：{verdict}" for check, verdict in status.checks.items() if verdict != "ok"]
        tone, state = (
            ("bad", "未就绪" if status.answers else "没有应答") if failing or not status.answers else ("good", "正常")
        )
        rows.append(Row(name, tone, state, why="；".join(failing)))
    return rows


def _servers(period: MetricsPeriod) -> list[Row]:
    """A server is unavailable if one of the processes that respond can't reach it."""
    rows = []
    for check, name in SERVERS.items():
        results = {process: one.checks[check] for process, one in period.after.processes.items() if check in one.checks}
        failing = [process for process, verdict in results.items() if verdict != "ok"]
        tone, state = ("bad", "连不上") if failing else ("good", "正常") if results else ("warn", "没有消息")
        rows.append(Row(name, tone, state, why="、".join(failing)))
    return rows


def _publishers(period: MetricsPeriod) -> list[Row]:
    backlog, late = period.gauge("publisher_lag_events", "service"), period.gauge("publisher_lag_seconds", "service")
    rows = []
    for (service,), leaders in sorted(period.gauge("publisher_leads", "service").items()):
        seconds = late.get((service,), 0)
        tone, state = ("bad", "没有发布者") if not leaders else _lateness(seconds)
        rows.append(Row(service, tone, state, [round(backlog.get((service,), 0)), f"{seconds:.0f} 秒"]))
    return rows


def _lateness(seconds: float) -> tuple[str, str]:
    return ("bad", "积压") if seconds > LATE_SECONDS else ("good", "正常")


def _consumers(period: MetricsPeriod, dead_letters: Iterable[DeadLetterGroup]) -> list[Row]:
    consumed = period.increase("consumer_events_total", "group", "outcome")
    dead = Counter[str]()
    for one in dead_letters:
        dead[one.group] += one.count
    rows = []
    for (group,), lag in sorted(period.gauge("consumer_lag_events", "group").items()):
        tone, state = ("bad", "积压") if lag > LARGE_BACKLOG else ("good", "正常")
        rows.append(Row(group, tone, state, [round(lag), consumed[group, "done"], dead[group]]))
    return rows


def _carriers(period: MetricsPeriod) -> list[Row]:
    sent = period.increase("sms_messages_total", "provider", "state")
    alarms = period.increase("sms_carrier_errors_total", "provider", "reason")
    states = period.gauge("sms_carrier_state", "provider")
    rows = []
    for provider in sorted({name for name, *_ in [*states, *sent, *alarms]}):
        tone, state = CARRIER_STATES[min(2, round(states.get((provider,), 0)))]
        why = [f"{reason} {count} 次" for (name, reason), count in alarms.items() if name == provider and count]
        tone, state = ("bad", "需要处理") if why else (tone, state)
        cells = [sent[provider, one] for one in COUNTED_STATES]
        rows.append(Row(PROVIDERS.get(provider, provider), tone, state, cells, "；".join(why)))
    return rows


def _outcomes(period: MetricsPeriod, name: str) -> Counter[str]:
    return Counter({outcome: count for (outcome,), count in period.increase(name, "outcome").items()})


def _uploads(period: MetricsPeriod) -> list[Row]:
    checked = period.increase("uploads_checked_total", "what", "verdict")
    return [Row(word, cells=[checked[what, verdict] for verdict in VERDICTS]) for what, word in UPLOADS.items()]


def _count_tile(title: str, rows: Sequence[Row], all_good: str) -> DashboardTile:
    bad = [row for row in rows if row.tone == "bad"]
    more = "、".join(row.name for row in bad[:3]) or all_good
    return DashboardTile("bad" if bad else "good", title, f"{len(rows) - len(bad)} / {len(rows)}", more)


def _login_tile(logins: Counter[str]) -> DashboardTile:
    tries = logins["right"] + logins["wrong"] + logins["expired"]
    share = logins["right"] / tries if tries else 1
    tone = "bad" if tries >= MIN_TRIES and share < LOW_SUCCESS else "good"
    figure = f"{share:.1%}" if tries else "—"
    return DashboardTile(tone, "登录成功率", figure, f"{tries} 次，{logins['wrong']} 次动态密码错误")


def _lag_tile(period: MetricsPeriod) -> DashboardTile:
    late = max(period.gauge("publisher_lag_seconds", "service").values(), default=0)
    unpublished = sum(period.gauge("publisher_lag_events", "service").values())
    unconsumed = sum(period.gauge("consumer_lag_events", "group").values())
    tone = "bad" if late > LATE_SECONDS or unconsumed > LARGE_BACKLOG else "good"
    return DashboardTile(
        tone,
        "变更积压",
        f"{unpublished + unconsumed:.0f} 条",
        f"待发布 {unpublished:.0f} 条，最久 {late:.0f} 秒；待处理 {unconsumed:.0f} 条",
    )


def _sms_tile(period: MetricsPeriod, carriers: Sequence[Row]) -> DashboardTile:
    sent = period.increase("sms_messages_total", "state")
    bad = [row.name for row in carriers if row.tone == "bad"]
    more = f"{'、'.join(bad)}需要处理" if bad else f"失败 {sent[('failed',)]} 条，过期 {sent[('expired',)]} 条"
    return DashboardTile("bad" if bad else "good", "短信送达", f"{sent[('delivered',)]} 条", more)


def _upload_tile(period: MetricsPeriod) -> DashboardTile:
    checked = period.increase("uploads_checked_total", "verdict")
    total = checked[("accepted",)] + checked[("refused",)]
    refused = f"未通过 {checked[('refused',)] / total:.0%}" if total else "没有新的上传"
    return DashboardTile("good", "上传检查", f"{total} 件", refused)


def _dead_letter_tile(dead_letters: Sequence[DeadLetterGroup] | None) -> DashboardTile:
    if dead_letters is None:
        return DashboardTile("bad", "死信", "—", "Kafka 没有应答，暂时读不到")
    count = sum(group.count for group in dead_letters)
    return DashboardTile("bad" if count else "good", "死信", f"{count} 封", "需要处理" if count else "没有")
