"""Ended sessions: every API refuses their tokens within a second, with the reason."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from contracts.sessions import SENTENCES
from deploy.local.people import random_phone
from kit import mongo
from kit.core.clock import ManualClock, SystemClock
from kit.security.tokens import TokenIssuer
from services.identity.store import MAX_SESSIONS, Store
from services.identity.wiring.shared import Dependencies
from tests.support.erasure import have_erased
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Session, Window, bearer
from tests.support.names import own_name
from tests.support.own_services import identity
from tests.support.people import OWN
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.stack import RunningStack
from tests.support.staffing import PASSWORD, Hire
from tests.support.waiting import eventually

ME, SESSIONS = f"{WINDOW}/me", "/api/identity/sessions"
AT_EVERY_API = (
    ME, OWN, "/api/attachments/records/00000000-0000-4000-8000-000000000000/attachment",
    "/api/signature/practitioners/me/signature", "/api/notify/messages", "/api/subscriptions/webhooks",
)  # fmt: skip


async def refused(http: httpx2.AsyncClient, token: str, path: str, reason: str, within: float = 1) -> None:
    """Waits until the API refuses the token with the reason of the end."""

    async def answer() -> httpx2.Response | None:
        answer = await http.get(path, headers=bearer(token))
        return answer if answer.status_code == 401 else None

    found = await eventually(answer, within, f"{path} refuses a session that has ended", pause=0.02)
    assert found
    body = problem(found, 401, "unauthorized", token)
    assert (body["reason"], body["detail"]) == (reason, SENTENCES[reason])


async def refused_everywhere(session: Session, reason: str) -> None:
    token = str(session.tokens["access_token"])
    await asyncio.gather(*(refused(session.http, token, path, reason) for path in AT_EVERY_API))
    body = problem(await session.refresh(), 401, "refresh_invalid")
    assert (body["reason"], body["detail"]) == (reason, SENTENCES[reason])


async def good_everywhere(session: Session) -> None:
    answers = await asyncio.gather(*(session.call("GET", path) for path in AT_EVERY_API))
    assert all(answer.status_code != 401 for answer in answers)


async def again(login_page: LoginPage, citizen: Citizen) -> Session:
    """A session of the same person on another device."""
    await login_page.forget_limits(citizen)
    challenge = await login_page.challenge(citizen)
    response = await login_page.try_code(challenge, await login_page.code(citizen.phone, count=2))
    return Session(login_page.http, response.raise_for_status().json())


End = Callable[[Window, LoginPage, Citizen, Session], Awaitable[httpx2.Response]]


async def revoked(window: Window, _page: LoginPage, citizen: Citizen, _session: Session) -> httpx2.Response:
    return await window.revoke(citizen)


async def rebound(window: Window, _page: LoginPage, citizen: Citizen, _session: Session) -> httpx2.Response:
    return await window.rebind(citizen, random_phone())


async def ended_elsewhere(_: Window, page: LoginPage, citizen: Citizen, session: Session) -> httpx2.Response:
    other = await again(page, citizen)
    return await other.call("DELETE", f"{SESSIONS}/{session.tokens['session_id']}")


async def logged_out(_window: Window, _page: LoginPage, _citizen: Citizen, session: Session) -> httpx2.Response:
    return await session.call("DELETE", f"{SESSIONS}/current")


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (revoked, "certificate_revoked"),
        (rebound, "phone_changed"),
        (ended_elsewhere, "ended_elsewhere"),
        (logged_out, "logged_out"),
    ],
)
async def test_an_ended_session_is_refused_by_every_api_within_a_second(
    window: Window, login_page: LoginPage, end: End, reason: str
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    await good_everywhere(session)
    assert (await end(window, login_page, citizen, session)).is_success
    await refused_everywhere(session, reason)


async def test_a_refresh_token_used_twice_ends_its_access_token_too(window: Window, login_page: LoginPage) -> None:
    session = await login_page.logged_in(await window.enrolled())
    following = Session(session.http, (await session.refresh()).raise_for_status().json())
    assert problem(await session.refresh(), 401, "refresh_invalid")["reason"] == "token_reused"
    await refused_everywhere(following, "token_reused")


async def test_changing_roles_ends_the_sessions(hire: Hire, inside: Dependencies) -> None:
    clerk = await hire("clerk")
    await clerk.log_in()
    login = clerk.login
    await inside.services.staff.save(login["username"], PASSWORD, login["totp_secret"], ["operator"])
    await refused_everywhere(Session(clerk.http, clerk.tokens), "staff_changed")


async def test_erasing_a_person_ends_the_sessions(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window, login_page: LoginPage
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    await have_erased(gateway, issuer, citizen.id)
    await refused(session.http, session.tokens["access_token"], OWN, "person_erased", within=20)


async def test_all_of_very_many_sessions_end(window: Window, login_page: LoginPage, inside: Dependencies) -> None:
    citizen = await window.enrolled()
    certificate = await inside.store.certificate_of(citizen.id)
    assert certificate
    made = [
        await inside.services.sessions.open_practitioner(certificate, "127.0.0.1", "") for _ in range(MAX_SESSIONS + 5)
    ]
    assert (await window.revoke(citizen)).status_code == 204
    for tokens in (made[0], made[-1]):
        await refused(login_page.http, tokens.access_token, OWN, "certificate_revoked")
    assert await inside.store.sessions_of(citizen.id, SystemClock().now()) == []


async def test_an_unused_and_a_too_long_session_end_with_their_reasons(
    stack: RunningStack, window: Window, login_page: LoginPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, session = ManualClock(), await login_page.logged_in(await window.enrolled())
    other = await login_page.logged_in(await window.enrolled())
    async with identity(stack, monkeypatch, clock) as http:
        clock.advance(timedelta(hours=1))
        tokens = (await Session(http, session.tokens).refresh()).raise_for_status().json()
        clock.advance(timedelta(hours=1, minutes=1))
        assert problem(await Session(http, other.tokens).refresh(), 401, "refresh_invalid")["reason"] == "idle"
        for _ in range(10):
            tokens = (await Session(http, tokens).refresh()).raise_for_status().json()
            clock.advance(timedelta(minutes=59, seconds=57))
        assert problem(await Session(http, tokens).refresh(), 401, "refresh_invalid")["reason"] == "expired"


async def test_a_process_that_has_just_started_refuses_an_ended_session(
    stack: RunningStack, window: Window, login_page: LoginPage, processes: Processes, tmp_path: Path
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    assert (await window.revoke(citizen)).status_code == 204
    async with (
        processes.standby("records-api", own_name("late"), tmp_path / "log") as late,
        stack.http(late.api) as http,
    ):
        await refused(http, session.tokens["access_token"], OWN, "certificate_revoked")


async def test_a_process_that_crashed_before_ending_the_sessions_ends_them_after_restart(
    stack: RunningStack, window: Window, login_page: LoginPage, processes: Processes
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    async with mongo.connect(stack.mongo, "identity") as database:
        certificates, now = Store(database).certificates, SystemClock().now()
        [found] = await certificates.find_with_history({"practitioner_id": citizen.id})
        await certificates.replace(found.revoked(at=now, by="test"))
    await processes.kill("identity-api")
    await refused(session.http, session.tokens["access_token"], OWN, "certificate_revoked", within=40)


async def test_without_redis_a_token_is_valid_until_it_expires_and_refused_once_redis_is_back(
    window: Window, login_page: LoginPage, processes: Processes
) -> None:
    citizen = await window.enrolled()
    before, meanwhile = await login_page.logged_in(citizen), await login_page.logged_in(await window.enrolled())
    await window.clerk.call("GET", ME)  # logged in beforehand
    assert (await window.revoke(citizen)).status_code == 204
    await refused_everywhere(before, "certificate_revoked")
    async with processes.down("redis"):
        assert (await before.call("GET", OWN)).status_code == 401  # ends received before are remembered
        assert (await meanwhile.call("DELETE", f"{SESSIONS}/current")).status_code == 204
        assert (await meanwhile.call("GET", ME)).status_code == 401  # identity knows from its database
        assert (await meanwhile.call("GET", OWN)).status_code == 200
        assert problem(await meanwhile.refresh(), 401, "refresh_invalid")["reason"] == "logged_out"
    await asyncio.gather(
        *(refused(meanwhile.http, meanwhile.tokens["access_token"], path, "logged_out", 20) for path in AT_EVERY_API)
    )
