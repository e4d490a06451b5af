"""A stack as people see it: a table of its programs, and its addresses."""

import asyncio
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.local.ports import SERVICES
from deploy.local.readiness import Check, is_confirmed, server_checks, service_checks, watcher_checks
from deploy.local.secrets import secrets_of
from deploy.local.stack import Stack
from deploy.local.stackfile import description
from deploy.local.supervisor import Supervisor

PREFIXES = ", ".join(f"/api/{service}" for service in SERVICES if service != "portal")
TOTP_COMMAND = "make totp s=clerk"
console = Console(highlight=False)


def print_status(stack: Stack) -> bool:
    """Print the table of programs; returns whether every program runs and is ready."""
    programs = Supervisor(stack).programs()
    if not programs:
        console.print(f"the stack {stack.name!r} is down")
        return False
    checks = [*server_checks(stack, secrets_of(stack)), *service_checks(stack), *watcher_checks(stack)]
    ready = asyncio.run(_ask(checks))
    table = Table("program", "state", "pid", "up for", "ports", "ready", box=None)
    for program in programs:
        table.add_row(*_row(stack, program, ready))
    console.print(table)
    return all(ready.values())


def print_addresses(stack: Stack) -> None:
    """Print the addresses, and a demo person, staff and API client to try them with."""
    facts = description(stack, secrets_of(stack))
    demo = facts["demo"]
    gateway = facts["gateway"]
    lines = {
        "portal": f"{facts['portal']}  log in as the practitioner below; the code arrives in the SMS inbox",
        "window, duty": f"{facts['portal']}staff  log in as clerk or operator below; TOTP code: {TOTP_COMMAND}",
        "SMS inbox": facts["sms_inbox"],
        "card reader": f"{facts['card_reader']}  lay a card there, then read it at the window",
        "gateway": f"{gateway}  ({PREFIXES})",
        "API pages": f"{gateway}/api/identity/docs  {gateway}/api/records/docs",
        "Kafka": facts["kafka"],
        "MongoDB": facts["mongo"],
        "Redis": facts["redis"],
        "S3": "{endpoint}, access key {access_key}, secret key {secret_key}".format(**facts["s3"]),
        "certificates": f"{facts['ca']} is the authority of all of these",
        "Prometheus": f"{facts['prometheus']}/alerts" if facts["prometheus"] else "not installed",
        "alerts": f"{facts['alert_inbox']}  what the operator's robots and mailbox got"
        if facts["alert_inbox"]
        else "not installed",
        "practitioner": "{document_number}, phone {phone}".format(**demo["practitioner"]),
        **{
            role: "{username}, password {password}, TOTP secret {totp_secret}".format(**demo[role])
            for role in ("clerk", "operator", "admin")
        },
        "API client": "{client_id}, secret {client_secret}".format(**demo["client"]),
        "all of it": stack.stackfile,
    }
    for name, value in lines.items():
        # no line breaks: people copy from here
        console.print(f"{name:13} {value}", soft_wrap=True)


async def _ask(checks: list[Check]) -> dict[str, bool]:
    answers = await asyncio.gather(*(is_confirmed(check) for check in checks))
    return {check.name: answer for check, answer in zip(checks, answers, strict=True)}


def _row(stack: Stack, program: dict[str, Any], ready: dict[str, bool]) -> list[str]:
    name, runs = program["name"], program["statename"] == "RUNNING"
    ports = " ".join(str(port) for port, use in sorted(stack.ports.by_use().items()) if use == name)
    age = f"{time.time() - program['start']:.0f} s" if runs else ""
    mark = "[green]yes[/green]" if ready.get(name) else "[red]no[/red]"
    return [name, program["statename"].lower(), str(program["pid"] or ""), age, ports, mark]
