"""What operators are told: what wants doing, figures at a glance, and the tables behind them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.portal.operations.dead_letters import DeadLetterGroup
from services.portal.operations.processes import MetricsPeriod
from services.portal.words import PROVIDERS

SERVERS = {"mongo": "MongoDB", "kafka": "Kafka", "redis": "Redis", "bucket": "S3 对象存储"}
"""The servers by the names of the checks that ask them."""
OPERATOR_STATES = (("good", "正常"), ("warn", "试探中"), ("bad", "暂停使用"))
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
LATE_SECONDS, MANY_WAITING = 30, 1_000
FEW, POOR_SHARE = 20, 0.8
"""Below so many tries a share says nothing; below this share something is wrong."""


@dataclass(frozen=True)
class DashboardTile:
    """One figure and what it means."""

    tone: str
    title: str
    figure: str
    more: str


@dataclass(frozen=True)
class Row:
    """A line of a table: its name, the tone and the word of its state, figures, and why it is as it is."""

    name: str
    tone: str = ""
    state: str = ""
    cells: Sequence[str | int] = ()
    why: str = ""


@dataclass(frozen=True)
class Dashboard:
    """The operators' page. `piles` is None when Kafka can't be asked."""

    at: datetime
    since: timedelta
    tiles: Sequence[DashboardTile]
    processes: Sequence[Row]
    servers: Sequence[Row]
    publishers: Sequence[Row]
    consumers: Sequence[Row]
    operators: Sequence[Row]
    logins: Mapping[str, int]
    staff: Mapping[str, int]
    uploads: Sequence[Row]
    piles: Sequence[DeadLetterGroup] | None

    @property
    def troubles(self) -> list[str]:
        """What wants doing, in a few words each."""
        rows = [*self.processes, *self.servers, *self.publishers, *self.consumers, *self.operators]
        letters = dict.fromkeys(f"{pile.group} 死信" for pile in self.piles or [])
        return [f"{row.name} {row.state}" for row in rows if row.tone == "bad"] + list(letters)


def dashboard(period: MetricsPeriod, piles: Sequence[DeadLetterGroup] | None) -> Dashboard:
    """The page from two samples and the dead letters."""
    processes, servers = _processes(period), _servers(period)
    publishers, consumers = _publishers(period), _consumers(period, piles or [])
    operators, uploads = _operators(period), _uploads(period)
    logins, staff = _outcomes(period, "logins_total"), _outcomes(period, "staff_logins_total")
    ready = _count_tile("进程和服务器", [*processes, *servers], "全部正常")
    tiles = [ready, _login_tile(logins), _lag_tile(period), _sms_tile(period, operators), _upload_tile(period)]
    tiles.append(_letter_tile(piles))
    since = period.after.at - period.before.at
    return Dashboard(
        period.after.at, since, tiles, processes, servers, publishers, consumers, operators,
        {word: logins[name] for name, word in LOGIN_OUTCOMES.items()},
        {word: staff[name] for name, word in STAFF_OUTCOMES.items()},
        uploads, piles,
    )  # fmt: skip


def _processes(period: MetricsPeriod) -> list[Row]:
    rows = []
    for name, glance in period.after.processes.items():
        failing = [f"{check}：{verdict}" for check, verdict in glance.checks.items() if verdict != "ok"]
        tone, state = (
            ("bad", "未就绪" if glance.answers else "没有应答") if failing or not glance.answers else ("good", "正常")
        )
        rows.append(Row(name, tone, state, why="；".join(failing)))
    return rows


def _servers(period: MetricsPeriod) -> list[Row]:
    """As the processes find them: a server is away when any of those that answer can't reach it."""
    rows = []
    for check, name in SERVERS.items():
        said = {process: one.checks[check] for process, one in period.after.processes.items() if check in one.checks}
        failing = [process for process, verdict in said.items() if verdict != "ok"]
        tone, state = ("bad", "连不上") if failing else ("good", "正常") if said else ("warn", "没有消息")
        rows.append(Row(name, tone, state, why="、".join(failing)))
    return rows


def _publishers(period: MetricsPeriod) -> list[Row]:
    waiting, late = period.level("publisher_lag_events", "service"), period.level("publisher_lag_seconds", "service")
    rows = []
    for (service,), leaders in sorted(period.level("publisher_leads", "service").items()):
        seconds = late.get((service,), 0)
        tone, state = ("bad", "没有发布者") if not leaders else _lateness(seconds)
        rows.append(Row(service, tone, state, [round(waiting.get((service,), 0)), f"{seconds:.0f} 秒"]))
    return rows


def _lateness(seconds: float) -> tuple[str, str]:
    return ("bad", "积压") if seconds > LATE_SECONDS else ("good", "正常")


def _consumers(period: MetricsPeriod, piles: Iterable[DeadLetterGroup]) -> list[Row]:
    done = period.grown("consumer_events_total", "group", "outcome")
    dead = Counter[str]()
    for pile in piles:
        dead[pile.group] += pile.count
    rows = []
    for (group,), lag in sorted(period.level("consumer_lag_events", "group").items()):
        tone, state = ("bad", "积压") if lag > MANY_WAITING else ("good", "正常")
        rows.append(Row(group, tone, state, [round(lag), done[group, "done"], dead[group]]))
    return rows


def _operators(period: MetricsPeriod) -> list[Row]:
    sent = period.grown("sms_messages_total", "provider", "state")
    alarms = period.grown("sms_carrier_errors_total", "provider", "reason")
    states = period.level("sms_carrier_state", "provider")
    rows = []
    for provider in sorted({name for name, *_ in [*states, *sent, *alarms]}):
        tone, state = OPERATOR_STATES[min(2, round(states.get((provider,), 0)))]
        why = [f"{reason} {count} 次" for (name, reason), count in alarms.items() if name == provider and count]
        tone, state = ("bad", "需要处理") if why else (tone, state)
        cells = [sent[provider, one] for one in COUNTED_STATES]
        rows.append(Row(PROVIDERS.get(provider, provider), tone, state, cells, "；".join(why)))
    return rows


def _outcomes(period: MetricsPeriod, name: str) -> Counter[str]:
    return Counter({outcome: count for (outcome,), count in period.grown(name, "outcome").items()})


def _uploads(period: MetricsPeriod) -> list[Row]:
    judged = period.grown("uploads_checked_total", "what", "verdict")
    return [Row(word, cells=[judged[what, verdict] for verdict in VERDICTS]) for what, word in UPLOADS.items()]


def _count_tile(title: str, rows: Sequence[Row], well: str) -> DashboardTile:
    bad = [row for row in rows if row.tone == "bad"]
    more = "、".join(row.name for row in bad[:3]) or well
    return DashboardTile("bad" if bad else "good", title, f"{len(rows) - len(bad)} / {len(rows)}", more)


def _login_tile(logins: Counter[str]) -> DashboardTile:
    tries = logins["right"] + logins["wrong"] + logins["expired"]
    share = logins["right"] / tries if tries else 1
    tone = "bad" if tries >= FEW and share < POOR_SHARE else "good"
    figure = f"{share:.1%}" if tries else "—"
    return DashboardTile(tone, "登录成功率", figure, f"{tries} 次，{logins['wrong']} 次动态密码错误")


def _lag_tile(period: MetricsPeriod) -> DashboardTile:
    late = max(period.level("publisher_lag_seconds", "service").values(), default=0)
    waiting = sum(period.level("publisher_lag_events", "service").values())
    unread = sum(period.level("consumer_lag_events", "group").values())
    tone = "bad" if late > LATE_SECONDS or unread > MANY_WAITING else "good"
    return DashboardTile(
        tone,
        "变更积压",
        f"{waiting + unread:.0f} 条",
        f"待发布 {waiting:.0f} 条，最久 {late:.0f} 秒；待处理 {unread:.0f} 条",
    )


def _sms_tile(period: MetricsPeriod, operators: Sequence[Row]) -> DashboardTile:
    sent = period.grown("sms_messages_total", "state")
    bad = [row.name for row in operators if row.tone == "bad"]
    more = f"{'、'.join(bad)}需要处理" if bad else f"失败 {sent[('failed',)]} 条，过期 {sent[('expired',)]} 条"
    return DashboardTile("bad" if bad else "good", "短信送达", f"{sent[('delivered',)]} 条", more)


def _upload_tile(period: MetricsPeriod) -> DashboardTile:
    judged = period.grown("uploads_checked_total", "verdict")
    total = judged[("accepted",)] + judged[("refused",)]
    refused = f"未通过 {judged[('refused',)] / total:.0%}" if total else "没有新的上传"
    return DashboardTile("good", "上传检查", f"{total} 件", refused)


def _letter_tile(piles: Sequence[DeadLetterGroup] | None) -> DashboardTile:
    if piles is None:
        return DashboardTile("bad", "死信", "—", "Kafka 没有应答，暂时读不到")
    count = sum(pile.count for pile in piles)
    return DashboardTile("bad" if count else "good", "死信", f"{count} 封", "需要处理" if count else "没有")
