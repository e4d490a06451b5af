"""`make demo`: the main journey through the public API, step by step, with the time of each step."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
from rich.console import Console
from rich.panel import Panel
from rich.pretty import Pretty
from rich.table import Table

from deploy.local.downstream import Downstream
from deploy.local.people import random_card, random_phone
from deploy.local.portal import Portal, UnexpectedAnswer
from deploy.local.samples import RECORDS

TOTP_STEP_SECONDS = 30

console = Console(highlight=False)


class DemoFailed(Exception):
    """A step had the wrong result."""


class Steps:
    """Counts the steps and prints each with its duration."""

    def __init__(self) -> None:
        self._count = 0

    @asynccontextmanager
    async def step(self, title: str) -> AsyncIterator[Callable[[str], None]]:
        """Yields a function that adds a detail to the step's line."""
        self._count += 1
        details: list[str] = []
        began = time.perf_counter()
        try:
            yield details.append
        except BaseException:
            console.print(f"[red]✗[/red] {self._count:2}. {title}")
            raise
        took = (time.perf_counter() - began) * 1000
        line = f"[green]✓[/green] {self._count:2}. {took:8.1f} ms  {title}  [dim]{' '.join(details)}[/dim]"
        console.print(line, soft_wrap=True)


async def play(facts: dict[str, Any]) -> bool:
    """Run all steps; prints the error and returns false when one fails."""
    try:
        async with Portal.opened(facts) as portal, Downstream.opened(facts) as downstream:
            await Demo(facts, portal, downstream).play()
    except (UnexpectedAnswer, DemoFailed, TimeoutError, httpx2.HTTPError, OSError) as error:
        console.print(f"[red]the demo failed:[/red] {type(error).__name__} {error}")
        return False
    console.print("[green]done:[/green] the window, the person and the downstream system all saw what they should")
    return True


class Demo:
    """One person's story, from the window to the downstream system."""

    def __init__(self, facts: dict[str, Any], portal: Portal, downstream: Downstream) -> None:
        self._facts = facts
        self._portal = portal
        self._downstream = downstream
        self._card = random_card()
        self._phone = random_phone()
        self._steps = Steps()

    async def play(self) -> None:
        await self._at_the_window()
        token = await self._logs_in()
        await self._keeps_a_record(token)

    async def _at_the_window(self) -> None:
        clerk = await self._clerk_logs_in()
        async with self._steps.step("the clerk reads a resident identity card (登记)") as say:
            practitioner_id = await self._portal.register(clerk, self._card)
            say(f"{self._card['name']} {self._card['document_number']} → {practitioner_id}")
        async with self._steps.step("the clerk issues the digital certificate (数字证书)") as say:
            certificate = await self._portal.issue_certificate(clerk, practitioner_id, self._phone)
            if certificate.get("state") != "active":
                raise DemoFailed(f"the certificate is not active: {certificate}")
            say(f"{certificate['certificate_no']} for {certificate['phone_hint']}")

    async def _clerk_logs_in(self) -> str:
        login = self._facts["demo"]["clerk"]
        async with self._steps.step("the clerk logs in with password and TOTP") as say:
            try:
                return await self._portal.staff_token(**login)
            except UnexpectedAnswer as error:
                if error.status not in (401, 429):
                    raise
                await _wait_for_next_totp(error)
            say("at the second attempt")
            return await self._portal.staff_token(**login)

    async def _logs_in(self) -> str:
        async with self._steps.step("the person gets a captcha (验证码)"):
            captcha = await self._portal.solved_captcha()
        since = datetime.now(UTC)
        async with self._steps.step("the person asks for the SMS code (动态密码)") as say:
            number = self._card["document_number"]
            challenge = await self._portal.request_code(number, self._phone, captcha)
            say(f"to {challenge['phone_hint']}")
        async with self._steps.step("the code arrives at the phone") as say:
            code = await self._portal.code_in_inbox(self._phone, since)
            say(code)
        async with self._steps.step("the person logs in with it"):
            session = await self._portal.open_session(challenge["challenge_id"], code)
            return str(session["access_token"])

    async def _keeps_a_record(self, token: str) -> None:
        kind, data = RECORDS[0]
        async with self._steps.step("the person adds an education record (学历证书)") as say:
            record = await self._portal.add_record(token, kind, data)
            say(record["record_id"])
        await self._is_seen(record, version=record["version"])
        changed = await self._changes(token, record, data | {"school": "同济大学"})
        await self._is_seen(record, version=changed)
        async with self._steps.step("the person deletes it"):
            path = f"/api/records/records/{record['record_id']}"
            headers = {"If-Match": f'"{changed}"'}
            await self._portal.call("DELETE", path, expect=(204,), token=token, headers=headers)
        await self._is_seen(record, version=changed + 1)

    async def _changes(self, token: str, record: dict[str, Any], data: dict[str, Any]) -> int:
        async with self._steps.step("the person changes it") as say:
            path = f"/api/records/records/{record['record_id']}"
            headers = {"If-Match": f'"{record["version"]}"'}
            answer = await self._portal.call(
                "PUT", path, expect=(200,), token=token, headers=headers, json={"data": data}
            )
            say(f"version {answer.json()['version']}")
        return int(answer.json()["version"])

    async def _is_seen(self, record: dict[str, Any], version: int) -> None:
        async with self._steps.step("a downstream system has it from Kafka in its own table"):
            row = await self._downstream.row(record["record_id"], version)
        _print_row(row)


async def _wait_for_next_totp(refusal: UnexpectedAnswer) -> None:
    """Wait for the next TOTP code: each works once, so a second demo within 30 s is refused as a replay."""
    seconds = max(TOTP_STEP_SECONDS - time.time() % TOTP_STEP_SECONDS + 0.5, refusal.retry_after)
    console.print(
        f"   the login was refused, as it is when this TOTP code was used before: next one in {seconds:.0f} s"
    )
    await asyncio.sleep(seconds)


def _print_row(row: dict[str, Any]) -> None:
    """Print a row of the downstream system, with its JSON columns expanded."""
    table = Table.grid(padding=(0, 2))
    for name, value in row.items():
        nested = name in ("data", "attachment", "source")
        table.add_row(f"[cyan]{name}[/cyan]", Pretty(json.loads(value), expand_all=True) if nested else str(value))
    console.print(Panel(table, title="the downstream system's table records", title_align="left", border_style="dim"))
