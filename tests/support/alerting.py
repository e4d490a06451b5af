"""The alert inbox, alert-sender and Alertmanager: those of the stack, or some of a test's own."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from deploy.local import alertmanager
from deploy.local.environment import alert_inbox_environment, alert_sender_environment
from deploy.local.secrets import secrets_of
from deploy.local.stack import ROOT, Stack
from tests.support.processes import answers, free_port
from tests.support.waiting import eventually

ALERTMANAGER = shutil.which("prometheus-alertmanager")
Labels = dict[str, str]


@dataclass(frozen=True)
class Inbox:
    """What arrived at the robots, the mailbox and the heartbeat's address."""

    url: str

    async def notices(self, *words: str, to: str = "") -> list[dict[str, Any]]:
        """The messages with all of these words, oldest first; `to`: only those of this channel."""
        found = (await self._all())["notices"]
        return [each for each in found if to in ("", each["to"]) and all(word in each["text"] for word in words)]

    async def heartbeats(self) -> list[float]:
        """When they arrived."""
        return list((await self._all())["heartbeats"])

    async def refuse(self, **codes: int) -> None:
        """From now on a robot answers this errcode; 0: it works."""
        async with httpx2.AsyncClient(timeout=5) as client:
            (await client.post(f"{self.url}/behaviour", json=codes)).raise_for_status()

    async def _all(self) -> dict[str, Any]:
        async with httpx2.AsyncClient(timeout=5) as client:
            return dict((await client.get(f"{self.url}/inbox.json")).json())


@dataclass(frozen=True)
class Alerting:
    """A test's own programs."""

    sender: str
    alertmanager: str
    inbox: Inbox

    async def fire(self, *alerts: Labels, seconds: float = 300) -> None:
        """Post alerts as Prometheus does; they end after these seconds, or when they are posted with 0."""
        now = datetime.now(UTC)
        ends = (now + timedelta(seconds=seconds)).isoformat()
        body = [
            {"labels": labels, "annotations": annotations(labels), "startsAt": now.isoformat(), "endsAt": ends}
            for labels in alerts
        ]
        async with httpx2.AsyncClient(timeout=5) as client:
            (await client.post(f"{self.alertmanager}/api/v2/alerts", json=body)).raise_for_status()


def annotations(labels: Labels) -> Labels:
    name = labels["alertname"]
    return {"summary": f"{name} of {labels.get('process', 'all')}", "runbook": f"docs/runbooks/{name}.md"}


async def _answers(url: str) -> bool:
    return await answers(httpx2.AsyncClient(timeout=3), url)


@asynccontextmanager
async def alerting(folder: Path, *, with_alertmanager: bool = False, **settings: str) -> AsyncIterator[Alerting]:
    """Start the inbox and the sender on free ports; `settings` of the sender may differ."""
    stack = _stack(folder)
    secrets = secrets_of(stack)
    commands = [
        (_ours("deploy.local.alert_inbox"), alert_inbox_environment(stack, secrets)),
        (_ours("deploy.alerts"), alert_sender_environment(stack, secrets) | settings),
    ]
    made = Alerting(
        sender=f"http://127.0.0.1:{stack.ports.alert_sender}",
        alertmanager=f"http://127.0.0.1:{stack.ports.alertmanager}",
        inbox=Inbox(f"http://127.0.0.1:{stack.ports.alert_inbox}"),
    )
    urls = [f"{made.inbox.url}/", f"{made.sender}/readyz"]
    if with_alertmanager:
        assert ALERTMANAGER
        commands.append((alertmanager.command(stack, ALERTMANAGER), {}))
        urls.append(f"{made.alertmanager}/-/ready")
    with (folder / "log").open("w") as log:
        running = [
            subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log, cwd=ROOT)
            for command, own in commands
        ]
    try:
        for url in urls:
            await eventually(partial(_answers, url), 60, f"{url}: {folder / 'log'}", pause=0.1)
        yield made
    finally:
        await asyncio.to_thread(_end, running)


def _stack(folder: Path) -> Stack:
    """A stack of this name whose alerting has free ports."""
    stack = Stack.named("alerting-test", folder)
    own = replace(
        stack.ports, alertmanager=free_port(), alert_sender=free_port(), alert_inbox=free_port(),
        alert_mailbox=free_port(),
    )  # fmt: skip
    stack = replace(stack, ports=own)
    stack.make_folders()
    path = alertmanager.configuration_path(stack)
    path.parent.mkdir(parents=True)
    path.write_text(alertmanager.configuration(stack))
    return stack


def _ours(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    for process in running:
        process.terminate()
    for process in running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
