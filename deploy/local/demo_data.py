"""Loads the demo accounts and the demo person's dossier; what exists already stays unchanged."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from deploy.local.environment import RECORDS_CLIENT, environment_of
from deploy.local.portal import Portal
from deploy.local.samples import RECORDS, demo_card
from deploy.local.secrets import Secrets, StaffLogin
from deploy.local.stack import ROOT, Stack
from deploy.local.stackfile import CLIENT_ID, CLIENT_SCOPES, DOCUMENT_NUMBER, PHONE, description


class DemoDataError(Exception):
    """The output of an identity command that failed."""


async def load_demo_data(stack: Stack, secrets: Secrets) -> None:
    """Create staff and API clients by identity's command line, everything else through the public API."""
    environment = environment_of(stack, secrets, stack.layout.of("identity-api")[0])
    await _client(environment, RECORDS_CLIENT, ("practitioners:lookup",), secrets.records_client_secret)
    if stack.layout.for_faults:  # its load makes people of its own
        return
    await _staff(environment, secrets.admin, "admin")  # the first admin needs no approval
    *asked, _ = await asyncio.gather(
        _staff(environment, secrets.clerk, "clerk"),
        _staff(environment, secrets.operator, "operator"),
        _client(environment, CLIENT_ID, CLIENT_SCOPES, secrets.client_secret),
    )
    await _approve(stack, secrets, [each for each in asked if each])
    loaded = stack.servers / "demo-person-loaded"  # in the data folder: a reset removes both
    if not loaded.exists():
        async with Portal.opened(description(stack, secrets)) as portal:
            await demo_person(portal, await portal.client_token(CLIENT_ID, secrets.client_secret))
        loaded.touch()


async def _staff(environment: dict[str, str], login: StaffLogin, role: str) -> str:
    """Create the account, or request it. Return the id of the request, empty if there is none."""
    words = ("staff", login.username, "--roles", role)
    output = await _identity(environment, words, {"password": login.password, "totp_secret": login.totp_secret})
    requests = [json.loads(line) for line in output.splitlines() if '"approval_id"' in line]
    return str(requests[0]["approval_id"]) if requests else ""


async def _approve(stack: Stack, secrets: Secrets, requests: list[str]) -> None:
    """Approve requests as the demo admin, which uses up one of the admin's TOTP codes."""
    if requests:
        async with Portal.opened(description(stack, secrets)) as portal:
            token = await portal.staff_token(**secrets.admin.model_dump())
            for each in requests:
                await portal.call("POST", f"/api/identity/approvals/{each}/approve", expect=(200,), token=token)


async def _client(environment: dict[str, str], name: str, scopes: tuple[str, ...], secret: str) -> None:
    words = ("client", name, "--scopes", " ".join(scopes))
    await _identity(environment, words, {"client_secret": secret})


async def _identity(environment: dict[str, str], words: tuple[str, ...], secret: dict[str, str]) -> str:
    """Run `python -m services.identity …`; secrets go through standard input, never in arguments."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.identity", *words),
        cwd=ROOT,
        env=os.environ | environment,
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(json.dumps(secret).encode())
    if process.returncode != 0:
        raise DemoDataError(f"services.identity {' '.join(words[:2])}: {output.decode(errors='replace')}")
    return output.decode()


async def demo_person(portal: Portal, client: str) -> dict[str, Any]:
    """Register the demo person by a client's token, log in, and add the records. Return the person's session."""
    if await portal.find(client, DOCUMENT_NUMBER) is None:
        await portal.register(client, demo_card())
    practitioner_id = await portal.find(client, DOCUMENT_NUMBER)
    await portal.issue_certificate(client, str(practitioner_id), PHONE)
    session = await _log_in(portal)
    for number, (kind, data) in enumerate(RECORDS):
        await portal.add_record(session["access_token"], kind, data, key=f"demo-{number}")
    return session


async def _log_in(portal: Portal) -> dict[str, Any]:
    since = datetime.now(UTC)
    challenge = await portal.request_code(DOCUMENT_NUMBER, PHONE, await portal.solved_captcha())
    code = await portal.code_in_inbox(PHONE, since)
    return await portal.open_session(challenge["challenge_id"], code)
