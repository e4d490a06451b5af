"""Staff accounts on the command line: create, disable, enable, reset."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial

import httpx2
import pyotp
import pytest
import typer

from deploy.local.stack import ROOT
from services.identity.wiring.commands import client, staff
from tests.support.events import SecurityLog
from tests.support.identity_clients import Staff
from tests.support.names import own_name
from tests.support.problems import problem
from tests.support.stack import RunningStack
from tests.support.staffing import PASSWORD
from tests.support.waiting import eventually


async def command(
    stack: RunningStack, *words: str, given: object = None, of: str = "staff", more: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The exit status of a command, and its output; `more`: settings. Only the worker may read the signed heads."""
    pipe, user = asyncio.subprocess.PIPE, "identity-worker" if of == "audit" else "identity-api"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.identity", of, *words),
        cwd=ROOT, env=os.environ | stack.environment(user) | dict(more or {}), stdin=pipe, stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(json.dumps(given).encode())
    return process.returncode or 0, output.decode()


async def test_the_life_cycle_of_an_account(stack: RunningStack, gateway: httpx2.AsyncClient) -> None:
    name, secret = own_name("staff"), pyotp.random_base32()
    given = {"password": PASSWORD, "totp_secret": secret}
    clerk = Staff(gateway, given | {"username": name})

    code, output = await command(stack, name, "--roles", "clerk", given=given | {"password": "password1234"})
    assert (code, "password_breached" in output) == (2, True), output
    words = ("--roles", "clerk", "--emergency", "--reason", "a test")
    code, output = await command(stack, name, *words, given=given)
    assert (code, '"account_change"' in output, '"caller":"command"' in output) == (0, True, True), output
    assert name not in output
    code, output = await command(stack, name, "--roles", "clerk", given=given)
    assert (code, "account_change" in output) == (0, False), "the same again changes nothing"
    assert (await clerk.try_to_log_in()).status_code == 201

    assert (await command(stack, name, "--disable"))[0] == 0
    problem(await clerk.try_to_log_in(totp=clerk.next_code()), 401, "login_failed")
    assert (await command(stack, name, "--enable"))[0] == 0
    assert (await clerk.try_to_log_in(totp=clerk.next_code())).status_code == 201

    code, output = await command(stack, name, "--reset")
    made = json.loads(output.splitlines()[-1])
    assert code == 0
    again = Staff(gateway, clerk.login | {key: made[key] for key in ("password", "totp_secret")})
    answer = await again.try_to_log_in(totp=again.next_code())
    assert (answer.status_code, answer.json()["password_change_required"]) == (201, True)


async def test_permissions_granted_by_a_command_are_in_the_audit_trail(
    stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    """A command's own output is in no container's log."""
    name, log = own_name("client"), SecurityLog(stack, gateway)
    given = {"client_secret": own_name("secret") * 3}
    assert (await command(stack, name, "--scopes", "records:read intake", given=given, of="client"))[0] == 0
    [event] = await eventually(lambda: log.about(f"client:{name}"), 20, "the API records it")
    assert (event["event"], event["cause"], event["caller"]) == ("client_change", "created", "command")
    assert (event["scopes"], event["process"]) == ("intake records:read", "api")
    assert given["client_secret"] not in str(event)


async def test_a_client_is_disabled_and_enabled(stack: RunningStack, gateway: httpx2.AsyncClient) -> None:
    name, given = own_name("client"), {"client_secret": own_name("secret") * 3}
    grant, login = {"grant_type": "client_credentials"}, (name, given["client_secret"])
    assert (await command(stack, name, "--scopes", "records:read", given=given, of="client"))[0] == 0
    for word, status in (("--disable", 401), ("--enable", 200)):
        assert (await command(stack, name, word, of="client"))[0] == 0
        answer = await gateway.post("/api/identity/oauth/token", data=grant, auth=login)
        assert answer.status_code == status, answer.text


REFUSED: list[tuple[Callable[[str], None], str]] = [
    (staff, "exactly one of"),
    (partial(staff, disable=True, enable=True), "exactly one of"),
    (partial(staff, roles="clerk", reset=True), "exactly one of"),
    (partial(client, disable=True, enable=True), "exactly one of"),
    (partial(client, scopes="records:read record:write"), "unknown scope record:write"),
]


@pytest.mark.parametrize(("refused", "why"), REFUSED)
def test_invalid_arguments_are_refused(refused: Callable[[str], None], why: str) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        refused(own_name("account"))


async def test_an_unknown_account_is_reported(stack: RunningStack) -> None:
    code, output = await command(stack, own_name("staff"), "--disable")
    assert (code, "no such account" in output) == (2, True), output
