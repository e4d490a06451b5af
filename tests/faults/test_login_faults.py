"""Killing identity's and notify's processes while people log in: nothing acknowledged is lost or done twice."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import httpx2
import pytest

from kit import mongo
from tests.support.identity_clients import LOGIN_CODES, Citizen, LoginPage, Window
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults
PEOPLE, PER_SECOND, KILLS = scaled(200, 40), 5, scaled(5, 1)
PROGRAMS = ("identity-api", "identity-worker", "notify-api", "notify-worker")


@dataclass
class LoginRun:
    """One person's log-in: the challenge, the number of acknowledged requests for a code, the sessions."""

    citizen: Citizen
    challenge: str = ""
    asked: int = 0
    sessions: list[str] = field(default_factory=list)


async def response_or_none(call: "asyncio.Future[httpx2.Response]") -> httpx2.Response | None:
    """The response, or None while the process is killed or not ready."""
    try:
        answer = await call
    except httpx2.HTTPError:
        return None
    return None if answer.status_code in (502, 503, 504) else answer


async def log_in(page: LoginPage, login: LoginRun) -> None:
    """Logs in as a person does: retries when the page does not respond."""
    while not login.challenge:
        captcha = await response_or_none(asyncio.ensure_future(page.http.post("/api/identity/captchas")))
        if captcha is None:
            await asyncio.sleep(0.3)
            continue
        identity = captcha.json()["captcha_id"]
        body = {
            "document_number": login.citizen.number, "phone": login.citizen.phone, "captcha_id": identity,
            "captcha_answer": str(await page.redis.get(f"identity:captcha:{identity}")),
        }  # fmt: skip
        answer = await response_or_none(asyncio.ensure_future(page.http.post(LOGIN_CODES, json=body)))
        if answer is not None and answer.status_code == 202:
            login.challenge, login.asked = answer.json()["challenge_id"], login.asked + 1
        elif (
            answer is not None and answer.status_code == 429
        ):  # the request was counted, and the response lost with the process
            await page.forget_limits(login.citizen)
        await asyncio.sleep(0.2)
    code = await received(page, login)
    for _ in range(60):
        answer = await response_or_none(asyncio.ensure_future(page.try_code(login.challenge, code)))
        if answer is not None:
            if answer.status_code == 201:
                login.sessions.append(answer.json()["practitioner_id"])
            return
        await asyncio.sleep(0.3)


async def received(page: LoginPage, login: LoginRun) -> str:
    """The code. Requests another one if the page reports that it may not have been sent, as a person has to."""

    async def arrived() -> list[str]:
        where = await response_or_none(asyncio.ensure_future(page.http.get(f"{LOGIN_CODES}/{login.challenge}")))
        if where is not None and where.json()["state"] == "failed":
            await page.forget_limits(login.citizen)
            again = await response_or_none(asyncio.ensure_future(page.resend(login.challenge)))
            login.asked += again is not None and again.status_code == 202
        return await page.messages(login.citizen.phone)

    await eventually(arrived, 90, "the code arrives", pause=1)
    return await page.code(login.citizen.phone)


async def kill_now_and_then(processes: Processes, done: asyncio.Event) -> Counter[str]:
    killed = Counter[str]()
    for program in [each for _ in range(KILLS) for each in PROGRAMS]:
        await asyncio.sleep(1.2 + random.random())
        await processes.kill(program)
        killed[program] += 1
    done.set()
    return killed


async def stored_for(stack: RunningStack, login: LoginRun) -> tuple[int, int]:
    """The number of challenges and of sessions that identity has stored for this person."""
    async with mongo.connect(stack.mongo, "identity") as database:
        challenges = await database["challenges"].find({"practitioner_id": login.citizen.id}).to_list(10)
        sessions = await database["sessions"].count_documents({"subject": login.citizen.id})
    actions = [entry["action"] for challenge in challenges for entry in challenge["history"]]  # type: ignore[attr-defined]
    return sum(action in ("requested", "resent") for action in actions), sessions


async def test_logins_while_every_process_is_killed(
    stack: RunningStack, window: Window, login_page: LoginPage, processes: Processes
) -> None:
    logins = [LoginRun(await window.enrolled()) for _ in range(PEOPLE)]
    done = asyncio.Event()
    killing = asyncio.create_task(kill_now_and_then(processes, done))
    running = []
    for login in logins:
        running.append(asyncio.create_task(log_in(login_page, login)))
        await asyncio.sleep(1 / PER_SECOND)
    await asyncio.gather(*running)
    assert await killing == dict.fromkeys(PROGRAMS, KILLS)
    for program in PROGRAMS:
        service, _, role = program.partition("-")
        await processes.ready(stack.facts["services"][service]["internal" if role == "api" else "worker"])

    async def all_known() -> bool:
        states = [(await login_page.where_is(login.challenge))["state"] for login in logins]
        return "requested" not in states

    await eventually(all_known, 60, "every code is known to be sent, or used", pause=2)
    for login in logins:
        messages = await login_page.messages(login.citizen.phone)
        requests, sessions = await stored_for(stack, login)
        assert len(set(messages)) == 1, "one code a person, however often it is sent"
        assert login.asked <= requests, "what was acknowledged is there"
        assert len(messages) <= requests, "no second message for one request"
        assert len(login.sessions) <= sessions <= 1
        assert all(person == login.citizen.id for person in login.sessions)
        if (
            not login.sessions
        ):  # the code was used up, and the response lost with the process: a new one can be requested
            assert (await login_page.where_is(login.challenge))["state"] == "used"
    assert sum(len(login.sessions) for login in logins) >= PEOPLE * 0.9
