"""alert-sender: what people read, signatures, robots that refuse, limits, the heartbeat. The robots are simulated."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import yaml

from deploy.alerts.channels import signature
from deploy.alerts.notices import Notification, message
from deploy.alerts.wording import WORDING
from deploy.local.prometheus import RULES
from deploy.local.stack import ROOT
from tests.support.alerting import Alerting, alerting

STARTED, ENDED = "2026-11-29T13:30:05.123Z", "2026-11-29T13:34:10Z"
RUNBOOKS = "https://example.com/practitioner-portal/docs/runbooks"
NO_LIMIT = 100_000


def alert(process: str = "records-api", status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "MongoUnavailable", "severity": "critical", "process": process} | labels,
        "annotations": {"summary": f"{process} can't reach MongoDB", "runbook": "docs/runbooks/MongoUnavailable.md"},
        "startsAt": STARTED,
        "endsAt": ENDED if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph", "fingerprint": "1",
    }  # fmt: skip


def group(*alerts: dict[str, Any]) -> dict[str, Any]:
    """What Alertmanager posts."""
    firing = any(each["status"] == "firing" for each in alerts)
    return {
        "version": "4",
        "status": "firing" if firing else "resolved",
        "receiver": "everyone",
        "alerts": list(alerts),
    }


def text_of(*alerts: dict[str, Any], most: int = NO_LIMIT) -> str:
    return message(
        Notification.model_validate(group(*alerts)), "portal", RUNBOOKS.removesuffix("docs/runbooks"), most
    ).text


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Alerting]:
    async with alerting(tmp_path) as made:
        yield made


async def post(made: Alerting, channel: str, body: object) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=10) as client:
        return await client.post(f"{made.sender}/{channel}", json=body)


async def metric(made: Alerting, series: str) -> float:
    async with httpx2.AsyncClient(timeout=5) as client:
        page = (await client.get(f"{made.sender}/metrics")).text
    return next(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(f"{series} "))


def test_every_alert_has_its_chinese_words() -> None:
    rules = [
        rule
        for path in RULES.glob("*.yaml")
        for each in yaml.safe_load(path.read_text())["groups"]
        for rule in each["rules"]
    ]
    assert WORDING.keys() == {rule["alert"] for rule in rules if "alert" in rule}
    assert [what for what, first_step in WORDING.values() if not re.search("[一-鿿]", what + first_step)] == []


def test_a_message_has_what_since_when_how_soon_what_to_do_and_the_runbook() -> None:
    assert text_of(alert()).split("\n\n") == [
        "### 【立即处理】MongoDB 连不上（portal）",
        "MongoUnavailable",
        "> records-api can't reach MongoDB（11-29 21:30:05 开始）",
        "怎么办：看副本集有没有主节点，磁盘是否已满。",
        f"处置手册：[MongoUnavailable.md]({RUNBOOKS}/MongoUnavailable.md)",
    ]


def test_a_message_of_an_end_has_both_times_and_nothing_to_do() -> None:
    text = text_of(alert(status="resolved"))
    assert text.startswith("### 【已恢复】MongoDB 连不上")
    assert "（11-29 21:30:05 开始，11-29 21:34:10 恢复）" in text
    assert "怎么办" not in text


def test_only_those_that_last_are_listed_while_one_lasts() -> None:
    text = text_of(alert("records-api", "resolved"), alert("identity-api"))
    assert "identity-api" in text
    assert "records-api" not in text


def test_an_unknown_alert_of_the_installation_is_shown_by_its_name_and_labels() -> None:
    other = alert() | {"labels": {"alertname": "RaidDegraded", "severity": "page", "disk": "sda"}, "annotations": {}}
    text = text_of(other)
    assert text.startswith("### 【page】RaidDegraded（portal）")
    assert "disk=sda" in text


@pytest.mark.parametrize("count", [1, 20, 500])
def test_a_large_group_is_cut_to_the_robots_limit_and_says_so(count: int) -> None:
    text = text_of(*(alert(f"records-api-{number}") for number in range(count)), most=4096)
    listed = text.count("> records-api-")
    assert len(text.encode()) <= 4096
    assert f"{RUNBOOKS}/MongoUnavailable.md" in text
    assert ("另有" in text) == (listed < count)
    assert listed + sum(map(int, re.findall(r"另有 (\d+) 条", text))) == count


def test_the_signature_is_that_of_dingtalk_documented() -> None:
    """Computed by `openssl dgst -sha256 -hmac`, which DingTalk's own examples agree with."""
    text, secret = b"1700000000000\nSECtest", "SECtest"
    command = ["openssl", "dgst", "-sha256", "-hmac", secret, "-binary"]
    digest = subprocess.run(command, input=text, capture_output=True, check=True).stdout
    encoded = subprocess.run(["openssl", "base64", "-A"], input=digest, capture_output=True, check=True).stdout.decode()
    assert signature(secret, 1_700_000_000_000) == {"timestamp": "1700000000000", "sign": encoded}


async def test_it_arrives_at_both_robots_and_the_mailbox(running: Alerting) -> None:
    for channel in ("wecom", "dingtalk", "mail"):
        assert (await post(running, channel, group(alert()))).status_code == 200
        (notice,) = await running.inbox.notices(f"{RUNBOOKS}/MongoUnavailable.md", to=channel)
        assert notice["title"] == "【立即处理】MongoDB 连不上（alerting-test）"
        assert notice["urgent"] == (channel == "dingtalk")


@pytest.mark.parametrize("code", [93000, 45009])
async def test_a_refusal_with_status_200_is_a_failure_until_one_arrives(running: Alerting, code: int) -> None:
    await running.inbox.refuse(wecom=code)
    answer = await post(running, "wecom", group(alert()))
    assert (answer.status_code, answer.json()["error"]) == (503, f"errcode {code}: broken on request")
    assert await metric(running, 'alert_channel_ok{channel="wecom"}') == 0
    assert await metric(running, 'alert_messages_total{channel="wecom",outcome="failed"}') == 1
    await running.inbox.refuse(wecom=0)
    assert (await post(running, "wecom", group(alert()))).status_code == 200
    assert await metric(running, 'alert_channel_ok{channel="wecom"}') == 1


async def test_no_more_than_twenty_a_minute_leave_for_a_robot(running: Alerting) -> None:
    """The simulated robot would refuse the 21st too, and DingTalk's ignores it for ten minutes."""
    codes = [(await post(running, "dingtalk", group(alert()))).status_code for _ in range(22)]
    assert codes == [200] * 20 + [503] * 2
    assert await metric(running, 'alert_messages_total{channel="dingtalk",outcome="limited"}') == 2
    assert await metric(running, 'alert_channel_ok{channel="dingtalk"}') == 1, "a limit is no fault"
    assert len(await running.inbox.notices(to="dingtalk")) == 20


async def test_the_heartbeat_is_withheld_while_no_channel_works(tmp_path: Path) -> None:
    async with alerting(tmp_path, MAIL__RECIPIENTS="[]") as made:
        assert (await post(made, "heartbeat", {})).status_code == 200
        await made.inbox.refuse(wecom=1, dingtalk=1)
        await post(made, "wecom", group(alert()))
        assert (await post(made, "heartbeat", {})).status_code == 200, "the other channel works"
        await post(made, "dingtalk", group(alert()))
        assert (await post(made, "heartbeat", {})).status_code == 503
        assert len(await made.inbox.heartbeats()) == 2
        await made.inbox.refuse(wecom=0)
        await post(made, "wecom", group(alert()))
        assert (await post(made, "heartbeat", {})).status_code == 200


async def test_a_channel_that_is_not_configured_has_nothing_to_do(tmp_path: Path) -> None:
    async with alerting(tmp_path, WECOM__URL="", HEARTBEAT__URL="") as made:
        assert (await post(made, "wecom", group(alert()))).status_code == 204
        assert (await post(made, "heartbeat", {})).status_code == 204


async def test_what_is_no_notification_is_refused_for_good(running: Alerting) -> None:
    assert (await post(running, "wecom", {"alerts": "none"})).status_code == 400


async def test_no_address_or_secret_of_a_robot_is_logged(tmp_path: Path) -> None:
    async with alerting(tmp_path, WECOM__URL="http://127.0.0.1:1/send?key=verysecret") as made:
        assert (await post(made, "wecom", group(alert()))).json()["error"] == "ConnectError"
        await made.inbox.refuse(dingtalk=310000)
        await post(made, "dingtalk", group(alert()))
    log = (tmp_path / "log").read_text()
    assert log.count("alert not sent") == 2
    assert not re.search("verysecret|access_token|sign=|SEC[0-9a-f]{8}", log)


async def test_it_names_missing_settings_when_it_starts() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.alerts", cwd=ROOT, env={"PATH": "/usr/bin"}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert (process.returncode, said.decode().splitlines()[1:]) == (
        1,
        ["  SITE: Field required"],
    )
