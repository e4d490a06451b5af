"""Attacks are found in the security events, distinguished from each other, without personal data."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from secrets import randbelow

import httpx2
import pytest

from deploy.local.people import random_phone
from kit.security.trail import AuditTrail, TrailSettings
from tests.support.events import Event, SecurityLog
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Window, another
from tests.support.names import own_name
from tests.support.problems import problem
from tests.support.stack import RunningStack
from tests.support.staffing import PASSWORD, Hire
from tests.support.waiting import eventually

STAFF, TOKEN = "/api/identity/staff/sessions", "/api/identity/oauth/token"
Network = Callable[[], AbstractAsyncContextManager[tuple[httpx2.AsyncClient, str]]]
"""The gateway as it looks from a network that nobody else calls from, and the address there."""


@pytest.fixture
def events(stack: RunningStack, gateway: httpx2.AsyncClient) -> SecurityLog:
    return SecurityLog(stack, gateway)


@pytest.fixture
def network(stack: RunningStack) -> Network:
    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
        address = f"127.{1 + randbelow(250)}.{1 + randbelow(250)}.7"
        transport = httpx2.AsyncHTTPTransport(local_address=address)
        async with httpx2.AsyncClient(base_url=stack.gateway, timeout=20, transport=transport) as http:
            yield http, address

    return opened


def facts(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(event["event"], event["outcome"], event["cause"]) for event in events]


async def test_each_step_of_a_failed_log_in_has_its_own_event(
    network: Network, window: Window, login_page: LoginPage, events: SecurityLog
) -> None:
    citizen = await window.enrolled()
    async with network() as (http, _):
        page = LoginPage(http, login_page.redis, login_page.inbox)
        problem(await page.ask(citizen, **(await page.solved() | {"captcha_answer": "!"})), 422, "captcha_wrong")
        problem(await page.ask(citizen, phone=random_phone()), 403, "not_enrolled")
        challenge = await page.challenge(citizen)
        code = await page.code(citizen.phone)
        problem(await page.try_code(challenge, another(code)), 401, "code_wrong")
        problem(await page.resend(challenge), 429, "too_many_requests")
        assert (await page.try_code(challenge, code)).status_code == 201
        problem(await page.try_code(challenge, code), 410, "code_expired")
    of_person = await events.about(f"practitioner:{citizen.id}")
    assert facts(of_person) == [
        ("certificate_issue", "done", ""), ("login_code", "done", ""), ("login", "denied", "code_wrong"),
        ("login_code", "throttled", "limit_person"), ("login", "done", ""), ("login", "denied", "code_expired"),
    ]  # fmt: skip
    claimed = of_person[1]["claimed"]
    before = await events.about(claimed)
    assert facts(before) == [("login_code", "denied", "captcha_wrong"), ("login_code", "denied", "not_enrolled")]
    assert len({event["address"] for event in (*before, *of_person[1:])}) == 1
    impersonal([*before, *of_person], *citizen.secrets, citizen.card["name"], code, challenge)


async def test_guesses_at_one_and_at_many_members_of_staff_have_different_events(
    network: Network, hire: Hire, events: SecurityLog
) -> None:
    clerk, name = await hire("clerk"), own_name("q7planted7q")

    async def guess(http: httpx2.AsyncClient, username: str, **proof: str) -> None:
        body = {"username": username, "password": "q7planted7q", "totp": "000000", **proof}
        assert (await http.post(STAFF, json=body)).status_code in (401, 429)

    async with network() as (http, address):
        await guess(http, clerk.login["username"])
        await guess(http, clerk.login["username"], password=PASSWORD)
        assert (await clerk.try_to_log_in()).status_code == 201
        for _ in range(4):
            await guess(http, name)
        [first, second, entered] = await events.about(await _subject(events, "staff_login", "totp_wrong", address))
        assert facts([first, second, entered]) == [
            ("staff_login", "denied", "password_wrong"), ("staff_login", "denied", "totp_wrong"),
            ("staff_login", "done", ""),
        ]  # fmt: skip
        at_one = await events.about(await _subject(events, "staff_login", "unknown_account", address))
        assert facts(at_one)[0] == ("staff_login", "denied", "unknown_account")
        assert facts(at_one)[-1] == ("staff_login", "throttled", "limit_failures")
    async with network() as (http, address):
        for place in range(21):
            await guess(http, f"{name}-{place}")
        sprayed = await events.from_address(address)
    assert len({event["subject"] for event in sprayed if event["event"] == "staff_login"}) == 21
    assert [(event["cause"], event["subjects"]) for event in sprayed if event["event"] == "spray"] == [
        ("staff_login", 20)
    ]
    impersonal([first, second, entered, *at_one, *sprayed], "q7planted7q", PASSWORD, clerk.login["username"])


async def test_a_wrong_secret_and_a_missing_scope_have_different_events(
    network: Network, stack: RunningStack, events: SecurityLog
) -> None:
    demo = stack.facts["demo"]["client"]
    right = demo["client_id"], demo["client_secret"]
    async with network() as (http, address):
        for auth, scope in (
            (("q7planted7q", "q7planted7q"), ""), ((demo["client_id"], "q7planted7q"), ""), (right, "q7planted7q"),
            (right, ""),
        ):  # fmt: skip
            await http.post(TOKEN, data={"grant_type": "client_credentials", "scope": scope}, auth=auth)
        found = await events.from_address(address)
    assert facts(found) == [
        ("client_token", "denied", "unknown_client"), ("client_token", "denied", "secret_wrong"),
        ("client_token", "denied", "invalid_scope"), ("client_token", "done", ""),
    ]  # fmt: skip
    assert [event["subject"] for event in found[1:]] == [f"client:{demo['client_id']}"] * 3
    impersonal(found, "q7planted7q", demo["client_secret"])


async def test_a_takeover_by_rebinding_and_the_ended_sessions_have_events(
    window: Window, login_page: LoginPage, events: SecurityLog
) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    await login_page.logged_in(citizen)
    assert (await window.rebind(citizen, phone)).status_code == 200
    assert (await window.revoke(citizen)).status_code == 204
    found = await events.about(f"practitioner:{citizen.id}")
    assert facts(found) == [
        ("certificate_issue", "done", ""), ("login_code", "done", ""), ("login", "done", ""),
        ("phone_code", "done", ""), ("certificate_rebinding", "done", ""), ("session_end", "done", "phone_changed"),
        ("certificate_revocation", "done", ""),
    ]  # fmt: skip
    rebound = found[4]
    assert rebound["caller"].startswith("staff:")
    assert rebound["session"]
    impersonal(found, *citizen.secrets, phone, citizen.card["name"])


async def test_an_erasure_has_an_event_with_its_requester(
    gateway: httpx2.AsyncClient, hire: Hire, window: Window, events: SecurityLog
) -> None:
    citizen, clerk, admin = await window.registered(), await hire("clerk"), await hire("admin")
    path, ground = f"{WINDOW}/{citizen.id}/erasure", {"X-Access-Reason": "q7planted7q"}
    problem(await clerk.call("POST", path, headers=ground), 403, "forbidden")
    assert (await admin.call("POST", path, headers=ground)).status_code == 202
    denied, asked = (await events.about(f"practitioner:{citizen.id}"))[:2]
    assert facts([denied, asked]) == [("erasure_request", "denied", "forbidden"), ("erasure_request", "done", "")]
    assert denied["caller"] != asked["caller"]
    impersonal([denied, asked], *citizen.secrets, citizen.card["name"], "q7planted7q")


async def test_log_outs_and_a_stolen_refresh_token_have_events(
    window: Window, login_page: LoginPage, events: SecurityLog
) -> None:
    citizen: Citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    first = session.tokens["refresh_token"]
    assert (await session.refresh()).status_code == 200
    problem(await session.refresh(first), 401, "refresh_invalid")
    *_, ended, refused = await events.about(f"practitioner:{citizen.id}")
    assert facts([ended, refused]) == [
        ("session_end", "done", "token_reused"), ("session_refresh", "denied", "refresh_invalid"),
    ]  # fmt: skip
    assert ended["ended"] == session.tokens["session_id"]
    impersonal([ended, refused], first, *citizen.secrets)


async def test_events_and_requests_are_in_the_audit_trail(
    network: Network, stack: RunningStack, events: SecurityLog, tmp_path: Path
) -> None:
    """The output of processes and gateway here stands for the container logs that Docker keeps."""
    async with network() as (http, address):
        answer = await http.get("/api/identity/sessions?q7planted7q")
        assert await events.from_address(address)

        async def logged() -> bool:
            return address in stack.log("gateway").read_text(errors="replace")

        await eventually(logged, 10, "the gateway logs the request")
    settings = TrailSettings(containers=tmp_path, kept=tmp_path / "kept")
    settings.kept.mkdir()
    for name in ("identity-api", "gateway"):
        lines = stack.log(name).read_text(errors="replace").splitlines(keepends=True)
        entries = [json.dumps({"log": line, "stream": "stdout", "time": "2026-11-29T00:00:00Z"}) for line in lines]
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}-json.log").write_text("\n".join([*entries, ""]))
    AuditTrail(settings).collect()
    for name in ("security", "gateway"):
        kept = (settings.kept / f"{name}-2026-11-29.jsonl").read_text().splitlines()
        [line] = [line for line in kept if address in line]
        assert answer.headers["X-Request-Id"] in line
        assert "q7planted7q" not in line


async def _subject(events: SecurityLog, name: str, cause: str, address: str) -> str:
    """The subject of this event from this address."""
    found = await events.from_address(address)
    return str(next(event["subject"] for event in found if (event["event"], event["cause"]) == (name, cause)))


def impersonal(events: list[Event], *secrets: str) -> None:
    assert events
    for event in events:
        for secret in secrets:
            assert secret not in str(event), event
