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
class Visit:
    """What one person was told, and how often the request for a code was acknowledged."""

    citizen: Citizen
    challenge: str = ""
    asked: int = 0
    sessions: list[str] = field(default_factory=list)


async def patiently(call: "asyncio.Future[httpx2.Response]") -> httpx2.Response | None:
    """The answer, or nothing: the process behind the door was killed, or is not ready yet."""
    try:
        answer = await call
    except httpx2.HTTPError:
        return None
    return None if answer.status_code in (502, 503, 504) else answer


async def log_in(page: LoginPage, visit: Visit) -> None:
    """As a person does: try again when the page does not answer."""
    while not visit.challenge:
        captcha = await patiently(asyncio.ensure_future(page.http.post("/api/identity/captchas")))
        if captcha is None:
            await asyncio.sleep(0.3)
            continue
        identity = captcha.json()["captcha_id"]
        body = {
            "document_number": visit.citizen.number, "phone": visit.citizen.phone, "captcha_id": identity,
            "captcha_answer": str(await page.redis.get(f"identity:captcha:{identity}")),
        }  # fmt: skip
        answer = await patiently(asyncio.ensure_future(page.http.post(LOGIN_CODES, json=body)))
        if answer is not None and answer.status_code == 202:
            visit.challenge, visit.asked = answer.json()["challenge_id"], visit.asked + 1
        elif answer is not None and answer.status_code == 429:  # it was counted, and the answer died with the process
            await page.forget_limits(visit.citizen)
        await asyncio.sleep(0.2)
    code = await received(page, visit)
    for _ in range(60):
        answer = await patiently(asyncio.ensure_future(page.try_code(visit.challenge, code)))
        if answer is not None:
            if answer.status_code == 201:
                visit.sessions.append(answer.json()["practitioner_id"])
            return
        await asyncio.sleep(0.3)


async def received(page: LoginPage, visit: Visit) -> str:
    """The code; who is told that it may not have been sent asks for it again, nobody else does it for them."""

    async def arrived() -> list[str]:
        where = await patiently(asyncio.ensure_future(page.http.get(f"{LOGIN_CODES}/{visit.challenge}")))
        if where is not None and where.json()["state"] == "failed":
            await page.forget_limits(visit.citizen)
            again = await patiently(asyncio.ensure_future(page.resend(visit.challenge)))
            visit.asked += again is not None and again.status_code == 202
        return await page.messages(visit.citizen.phone)

    await eventually(arrived, 90, "the code arrives", pause=1)
    return await page.code(visit.citizen.phone)


async def kill_now_and_then(processes: Processes, done: asyncio.Event) -> Counter[str]:
    killed = Counter[str]()
    for program in [each for _ in range(KILLS) for each in PROGRAMS]:
        await asyncio.sleep(1.2 + random.random())
        await processes.kill(program)
        killed[program] += 1
    done.set()
    return killed


async def written_down(stack: RunningStack, visit: Visit) -> tuple[int, int]:
    """How many requests for a code identity has of this person, and how many sessions."""
    async with mongo.connect(stack.mongo, "identity") as database:
        challenges = await database["challenges"].find({"practitioner_id": visit.citizen.id}).to_list(10)
        sessions = await database["sessions"].count_documents({"subject": visit.citizen.id})
    actions = [entry["action"] for challenge in challenges for entry in challenge["history"]]  # type: ignore[attr-defined]
    return sum(action in ("requested", "resent") for action in actions), sessions


async def test_logins_while_every_process_is_killed(
    stack: RunningStack, window: Window, login_page: LoginPage, processes: Processes
) -> None:
    visits = [Visit(await window.enrolled()) for _ in range(PEOPLE)]
    done = asyncio.Event()
    killing = asyncio.create_task(kill_now_and_then(processes, done))
    running = []
    for visit in visits:
        running.append(asyncio.create_task(log_in(login_page, visit)))
        await asyncio.sleep(1 / PER_SECOND)
    await asyncio.gather(*running)
    assert await killing == dict.fromkeys(PROGRAMS, KILLS)
    for program in PROGRAMS:
        service, _, role = program.partition("-")
        await processes.ready(stack.facts["services"][service]["internal" if role == "api" else "worker"])

    async def told() -> bool:
        states = [(await login_page.where_is(visit.challenge))["state"] for visit in visits]
        return "requested" not in states

    await eventually(told, 60, "every code is known to be sent, or used", pause=2)
    for visit in visits:
        messages = await login_page.messages(visit.citizen.phone)
        requests, sessions = await written_down(stack, visit)
        assert len(set(messages)) == 1, "one code a person, however often it is sent"
        assert visit.asked <= requests, "what was acknowledged is there"
        assert len(messages) <= requests, "no second message for one request"
        assert len(visit.sessions) <= sessions <= 1
        assert all(person == visit.citizen.id for person in visit.sessions)
        if not visit.sessions:  # the code was spent, and the answer died with the process: a new one can be had
            assert (await login_page.where_is(visit.challenge))["state"] == "used"
    assert sum(len(visit.sessions) for visit in visits) >= PEOPLE * 0.9
