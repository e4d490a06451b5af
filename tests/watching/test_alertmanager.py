"""The routes of production, in a real Alertmanager with alert-sender and simulated robots behind it."""

import asyncio
import re
import subprocess
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from deploy.local.alertmanager import CONFIGURATION
from deploy.local.prometheus import RULES
from tests.support.alerting import ALERTMANAGER, Alerting, Inbox, Labels, alerting
from tests.support.waiting import eventually

with_alertmanager = pytest.mark.skipif(ALERTMANAGER is None, reason="prometheus-alertmanager is not installed here")
CHANNELS = ("wecom", "dingtalk", "mail")
SECURITY = RULES / "security.yaml"


def configuration() -> dict[str, Any]:
    return dict(yaml.safe_load(CONFIGURATION.read_text()))


def alerts_of(*paths: Path) -> set[str]:
    groups = [group for path in paths for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def named(matchers: list[str]) -> set[str]:
    """The alerts that a list of matchers names."""
    return {name for each in matchers if "alertname" in each for name in re.findall(r"\w+", each.partition("=")[2])}


def critical(name: str, **labels: str) -> Labels:
    return {"alertname": name, "severity": "critical"} | labels


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Alerting]:
    async with alerting(tmp_path, with_alertmanager=True) as made:
        yield made


def test_only_existing_alerts_are_named() -> None:
    rules = configuration()["inhibit_rules"]
    used = [rule[side] for rule in rules for side in ("source_matchers", "target_matchers")]
    used += [route["matchers"] for route in configuration()["route"]["routes"]]
    assert set().union(*map(named, used)) <= alerts_of(*RULES.glob("*.yaml"))


def test_no_security_alert_is_ever_inhibited_and_every_target_is_named() -> None:
    targets = [named(rule["target_matchers"]) for rule in configuration()["inhibit_rules"]]
    assert all(targets)
    assert not set().union(*targets) & alerts_of(SECURITY)


@with_alertmanager
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=Watchdog", "severity=none"], "heartbeat"),
        (["alertname=MongoUnavailable", "severity=critical"], "everyone"),
        (["alertname=DeadLetters", "severity=warning"], "everyone"),
        (["alertname=OneOfTheInstallation"], "everyone"),
    ],
)
def test_every_alert_has_a_way(labels: list[str], receiver: str) -> None:
    command = ["amtool", "config", "routes", "test", f"--config.file={CONFIGURATION}", *labels]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receiver


@with_alertmanager
async def test_an_outage_arrives_once_at_every_channel_and_ends_while_heartbeats_continue(running: Alerting) -> None:
    """One story, because groups wait: 15 s for the first message, a minute for the next. One robot fails at first."""
    inbox = running.inbox
    await asyncio.to_thread(
        subprocess.run, _silence(running, "alertname=OplogTooShort"), check=True, capture_output=True
    )
    await inbox.refuse(wecom=93000)
    outage = [critical("KafkaUnavailable", process=f"{name}-worker") for name in ("records", "identity")]
    silenced, other = ({"alertname": name, "severity": "warning"} for name in ("OplogTooShort", "DeadLetters"))
    began = time.monotonic()
    await running.fire({"alertname": "Watchdog", "severity": "none"})
    await running.fire(*outage, silenced, other)
    for channel in ("dingtalk", "mail"):
        await eventually(partial(inbox.notices, "KafkaUnavailable of", to=channel), 60, channel, pause=0.2)
        assert time.monotonic() - began < 30
        (notice,) = await inbox.notices("KafkaUnavailable of", to=channel)
        assert {"records-worker", "identity-worker"} <= set(re.findall(r"[a-z]+-worker", notice["text"]))
    assert await inbox.notices(to="wecom") == []
    await inbox.refuse(wecom=0)
    await eventually(lambda: inbox.notices("KafkaUnavailable of", to="wecom"), 60, "the robot gets it later", pause=0.2)
    for channel in CHANNELS:
        await eventually(partial(inbox.notices, "DeadLetters of", to=channel), 60, channel, pause=0.2)
    await running.fire(*outage, seconds=0)
    for channel in CHANNELS:
        await eventually(partial(inbox.notices, "已恢复", "Kafka", to=channel), 120, channel, pause=0.5)
        assert len(await inbox.notices("KafkaUnavailable of", "立即处理", to=channel)) == 1, "sent once to each"
    assert await inbox.notices("OplogTooShort") == [], "silenced"
    first, second = (await eventually(partial(two, inbox), 60, "two heartbeats", pause=0.5))[:2]
    assert 45 < second - first < 75
    assert await inbox.notices("Watchdog") == []
    print(f"arrived and ended within {time.monotonic() - began:.0f} s")


@with_alertmanager
async def test_symptoms_are_not_reported_during_the_outage(running: Alerting) -> None:
    outage, symptom = critical("KafkaUnavailable", process="a"), critical("PublisherStalled", service="records")
    attack = critical("CodeGuessing", cause="login")
    await running.fire(outage, symptom, attack)
    await eventually(lambda: running.inbox.notices("CodeGuessing", to="mail"), 60, "the attack is reported", pause=0.2)
    await eventually(lambda: running.inbox.notices("KafkaUnavailable", to="mail"), 30, "and the outage", pause=0.2)
    await asyncio.sleep(5)
    assert await running.inbox.notices("PublisherStalled") == []


async def two(inbox: Inbox) -> list[float]:
    found = await inbox.heartbeats()
    return found if len(found) > 1 else []


def _silence(running: Alerting, *matchers: str) -> list[str]:
    url = f"--alertmanager.url={running.alertmanager}"
    return ["amtool", "silence", "add", url, "--duration=1h", "--author=test", "--comment=test", *matchers]
