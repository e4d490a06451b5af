"""The measuring process of the log-in rows: people who log in, their phones, and the answers of captchas."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx2
import psutil
from redis.asyncio import Redis

from bench.load import Target, asked, at_pace, connections, each, percentiles
from bench.processes import Answer, answer, cpu_seconds
from bench.stack import Stack
from bench.wire import request
from deploy.local.people import random_card, random_phone
from kit.core.ids import new_id

CONNECTIONS = 16
LONG = 15  # seconds: for a carrier that hangs, and to wait for a code
CODE = re.compile(r"动态密码为(\d{6})")
IDENTITY = "/api/identity"


@dataclass
class Visitor:
    """A person with a certificate who logs in."""

    number: str
    phone: str
    challenge: str = ""
    refresh_token: str = ""
    captcha: dict[str, str] = field(default_factory=dict)
    asked_at: float = 0


class Page:
    """identity's API, the SMS inbox and Redis of the stack."""

    def __init__(self, api: Target, inbox: Target, redis: "Redis", clerk: str) -> None:
        self._api = api
        self._inbox = inbox
        self._redis = redis
        self._clerk = clerk

    async def enrol(self) -> Visitor:
        card, phone = random_card(), random_phone()
        del card["portrait"]
        person = await self._call("POST", "/practitioners", card, self._clerk)
        path = f"/practitioners/{person['practitioner_id']}/certificate"
        await self._call("POST", path, {"phone": phone}, self._clerk)
        return Visitor(str(card["document_number"]), phone)

    async def see_captcha(self, visitor: Visitor) -> None:
        identity = str((await self._call("POST", "/captchas"))["captcha_id"])
        solved = str(await self._redis.get(f"identity:captcha:{identity}"))
        visitor.captcha = {"captcha_id": identity, "captcha_answer": solved}

    async def ask(self, visitor: Visitor) -> None:
        visitor.asked_at = time.time()
        body = {"document_number": visitor.number, "phone": visitor.phone, **visitor.captcha}
        visitor.challenge = str((await self._call("POST", "/login/codes", body))["challenge_id"])

    async def arrived(self, visitor: Visitor) -> tuple[str, float]:
        """Return the code, and when the carrier accepted it."""
        while True:
            for message in await self._messages(visitor):
                if found := CODE.search(message["text"]):
                    return found[1], datetime.fromisoformat(message["at"]).timestamp()
            await asyncio.sleep(0.02)

    async def noticed(self, visitor: Visitor) -> None:
        """Wait for the notice about the certificate, so that no messages are in progress."""
        while not await self._messages(visitor):
            await asyncio.sleep(0.1)

    async def _messages(self, visitor: Visitor) -> list[dict[str, str]]:
        text = request("GET", f"/inbox.json?phone={visitor.phone}").encode()
        return list(json.loads(await asked(self._inbox, text)))

    async def enter(self, visitor: Visitor) -> None:
        code, _ = await self.arrived(visitor)
        body = {"challenge_id": visitor.challenge, "code": code}
        visitor.refresh_token = str((await self._call("POST", "/login/sessions", body))["refresh_token"])

    async def log_in(self, visitor: Visitor) -> None:
        await self.see_captcha(visitor)
        await self.ask(visitor)
        await self.enter(visitor)

    async def refresh(self, visitor: Visitor) -> None:
        body = {"refresh_token": visitor.refresh_token}
        visitor.refresh_token = str((await self._call("POST", "/tokens/refresh", body))["refresh_token"])

    async def _call(self, method: str, path: str, body: object = None, token: str = "") -> dict[str, Any]:
        return dict(json.loads(await asked(self._api, request(method, IDENTITY + path, token, body).encode())))


@asynccontextmanager
async def page(stack: Stack, *, through_gateway: bool = False) -> AsyncIterator[Page]:
    port, ca = (stack.gateway_port, "") if through_gateway else (stack.port("identity"), stack.file["ca"])
    inbox = int(stack.file["sms_inbox"].rpartition(":")[2])
    clerk = stack.staff_token(new_id(), "clerk")
    async with (
        connections(port, CONNECTIONS, ca) as api,
        connections(inbox, CONNECTIONS) as phones,
        Redis.from_url(stack.file["redis"], decode_responses=True) as redis,
    ):
        yield Page(api, phones, redis, clerk)


async def costs(people: int) -> Answer:
    """Measure what each step of a log-in costs identity's API: CPU ms a call."""
    stack, found = Stack.running(), dict[str, float]()
    process = psutil.Process(stack.processes()["identity-api"])
    async with page(stack) as shown:
        visitors = await enrolled(shown, people)
        steps = {"captcha": shown.see_captcha, "code request": shown.ask}
        for name, step in {**steps, "code check": shown.enter, "refresh": shown.refresh}.items():
            if name == "code check":
                await asyncio.gather(*map(shown.arrived, visitors))
            used = cpu_seconds(process)
            await each(visitors, step, CONNECTIONS)
            found[name] = (cpu_seconds(process) - used) / people * 1000
    return found


async def paced(people: int, pace: float, tencent: str = "ok") -> Answer:
    """Measure from the request for a code to a carrier's acceptance, at a fixed rate; the first carrier may fail."""
    stack = Stack.running()
    async with page(stack) as shown:
        visitors = await enrolled(shown, people)
        await each(visitors, shown.see_captcha, CONNECTIONS)
        await _behave(stack, tencent)
        waiting = iter(visitors)
        await at_pace(pace, people / pace, lambda: shown.ask(next(waiting)))
        await _behave(stack, "ok")
        found = await asyncio.gather(*(_took(shown, visitor) for visitor in visitors))
    arrivals = [took for took in found if took is not None]
    return {**percentiles(arrivals), "longest_ms": max(arrivals) * 1000, "missing": people - len(arrivals)}


async def _behave(stack: Stack, mode: str) -> None:
    async with httpx2.AsyncClient(base_url=stack.file["sms_inbox"]) as http:
        body = {"provider": "tencent", "mode": mode, "seconds": LONG}
        (await http.post("/behaviour", json=body)).raise_for_status()


async def _took(shown: Page, visitor: Visitor) -> float | None:
    """Return `None` when it is unknown whether the code was sent: it is not sent again automatically."""
    try:
        async with asyncio.timeout(LONG):
            return (await shown.arrived(visitor))[1] - visitor.asked_at
    except TimeoutError:
        return None


async def whole(people: int, at_once: int) -> Answer:
    """Measure complete log-ins a second: captcha, code, message, session."""
    async with page(Stack.running()) as shown:
        visitors = await enrolled(shown, people)

        began = time.perf_counter()
        await each(visitors, shown.log_in, at_once)
        return {"per_second": people / (time.perf_counter() - began)}


async def enrolled(shown: Page, people: int) -> list[Visitor]:
    made: list[Visitor] = []

    async def one(_number: int) -> None:
        made.append(await shown.enrol())

    await each(range(people), one, CONNECTIONS)
    await each(made, shown.noticed, CONNECTIONS)
    return made


WORK: dict[str, Callable[..., Awaitable[Answer]]] = {"costs": costs, "paced": paced, "whole": whole}


async def work(what: str, **task: object) -> Answer:
    return await WORK[what](**task)


if __name__ == "__main__":
    answer(work)
