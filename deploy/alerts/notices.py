"""Alertmanager's notifications, and the Chinese messages made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from deploy.alerts.wording import HOW_SOON, OTHER, WORDING

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Alert(BaseModel):
    """One alert of a group."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: datetime  # noqa: N815  # Alertmanager's name
    endsAt: datetime  # noqa: N815


class Notification(BaseModel):
    """A group of alerts with the same name, as Alertmanager posts it to a webhook (version 4)."""

    status: str
    alerts: list[Alert]

    @property
    def firing(self) -> list[Alert]:
        """The alerts that have not ended."""
        return [alert for alert in self.alerts if alert.status == "firing"]


@dataclass(frozen=True)
class Message:
    """A title without markup, and the whole text in the Markdown that both robots render."""

    title: str
    text: str
    urgent: bool


def message(notification: Notification, site: str, runbooks_url: str, most_bytes: int) -> Message:
    """The message for a group: what, since when, how urgent, what to do, the runbook's address.

    Of a large group only as many alerts are listed as fit into `most_bytes`.
    """
    shown = notification.firing or notification.alerts
    labels, annotations = shown[0].labels, shown[0].annotations
    name, severity = labels.get("alertname", ""), labels.get("severity", "")
    what, first_step = WORDING.get(name, (name, OTHER))
    mark = HOW_SOON.get(severity, severity) if notification.firing else "已恢复"
    title = f"【{mark}】{what}（{site}）"
    end = list(_what_to_do(first_step, runbooks_url, annotations.get("runbook", ""), bool(notification.firing)))
    head = [f"### {title}", name]
    room = most_bytes - sum(_size(line) for line in (*head, *end)) - _size(_more(len(shown)))
    lines = _fitting([_line(alert) for alert in shown], room)
    left = [_more(len(shown) - len(lines))] if len(lines) < len(shown) else []
    text = "\n\n".join([*head, *lines, *left, *end])
    return Message(title, text, urgent=severity == "critical" and bool(notification.firing))


def _line(alert: Alert) -> str:
    summary = " ".join(alert.annotations.get("summary", "").split()) or ", ".join(
        f"{name}={value}" for name, value in sorted(alert.labels.items())
    )
    until = f"，{_time(alert.endsAt)} 恢复" if alert.status == "resolved" else ""
    return f"> {summary[:300]}（{_time(alert.startsAt)} 开始{until}）"


def _what_to_do(first_step: str, base: str, runbook: str, firing: bool) -> Iterator[str]:
    if firing:
        yield f"怎么办：{first_step}"
    if runbook:
        yield f"处置手册：{_link(base, runbook)}"


def _link(base: str, path: str) -> str:
    return f"[{path.rpartition('/')[2]}]({base.rstrip('/')}/{path})" if base else path


def _more(count: int) -> str:
    return f"> 另有 {count} 条未列出"


def _fitting(lines: list[str], room: int) -> list[str]:
    """The first lines, as many as have room; at least one."""
    kept = lines[:1]
    room -= _size(lines[0])
    for line in lines[1:]:
        room -= _size(line)
        if room < 0:
            break
        kept.append(line)
    return kept


def _size(line: str) -> int:
    """The bytes of a line with the empty line after it."""
    return len(line.encode()) + 2


def _time(at: datetime) -> str:
    return at.astimezone(SHANGHAI).strftime("%m-%d %H:%M:%S")
