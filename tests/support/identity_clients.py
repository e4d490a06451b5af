"""Callers of identity's public API: staff who log in, citizens at a window, the login page."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx2
import pyotp
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from deploy.local.people import random_card, random_phone
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

CODE = re.compile(r"动态密码为(\d{6})")
WINDOW = "/api/identity/practitioners"
LOGIN_CODES = "/api/identity/login/codes"
NEW_PHONE = {"X-Access-Reason": quote("本人更换手机号码")}
"""Why another phone is bound."""
REFRESH_AFTER = 200
"""Seconds; an access token lives 300."""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def code_messages(http: httpx2.AsyncClient, inbox: str, phone: str) -> list[str]:
    """The texts with a code that a phone has received, newest last."""
    response = await http.get(f"{inbox}/inbox.json", params={"phone": phone})
    return [message["text"] for message in response.json() if CODE.search(message["text"])]


async def newest_code(
    http: httpx2.AsyncClient, inbox: str, phone: str, count: int = 1, within: float = 20
) -> str:  # fmt: skip
    """The code of the newest message once `count` have arrived."""

    async def arrived() -> list[str]:
        texts = await code_messages(http, inbox, phone)
        return texts if len(texts) >= count else []

    texts = await eventually(arrived, within, f"{count} messages arrived")
    found = CODE.search(texts[-1])
    assert found, texts[-1]
    return found[1]


@dataclass
class Staff:
    """A member of staff who has logged in once with both factors, and keeps the session alive."""

    http: httpx2.AsyncClient
    login: dict[str, str]
    tokens: dict[str, Any] = field(default_factory=dict)
    _since: float = 0
    _logging_in: asyncio.Lock = field(default_factory=asyncio.Lock)

    def code(self) -> str:
        """The current TOTP code."""
        return pyotp.TOTP(self.login["totp_secret"]).now()

    def next_code(self) -> str:
        """The next TOTP code, which is already accepted."""
        return pyotp.TOTP(self.login["totp_secret"]).at(datetime.now(UTC), counter_offset=1)

    async def try_to_log_in(self, **changes: str) -> httpx2.Response:
        names = ("username", "password")
        body = {name: self.login[name] for name in names} | {"totp": self.code()}
        return await self.http.post("/api/identity/staff/sessions", json=body | changes)

    async def log_in(self) -> None:
        """Logs in. A TOTP code works once: if the current one is used the next one is tried, then a new one awaited."""

        async def tokens() -> dict[str, Any]:
            for code in (self.code(), self.next_code()):
                response = await self.try_to_log_in(totp=code)
                if response.status_code == 201:
                    return dict(response.json())
            return {}

        self.tokens = await eventually(tokens, 75, f"{self.login['username']} logs in", pause=7)
        self._since = time.monotonic()

    async def _refresh(self) -> None:
        body = {"refresh_token": self.tokens["refresh_token"]}
        self.tokens |= (await self.http.post("/api/identity/tokens/refresh", json=body)).raise_for_status().json()
        self._since = time.monotonic()

    async def call(self, method: str, path: str, **request: Any) -> httpx2.Response:
        async with self._logging_in:
            if not self.tokens:
                await self.log_in()
            if time.monotonic() - self._since > REFRESH_AFTER:  # once only: used twice, it ends the session
                await self._refresh()
        headers = {**bearer(self.tokens["access_token"]), **request.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **request)


@dataclass
class Citizen:
    """A person with an identity card and a phone, not registered until a window does it."""

    card: dict[str, Any] = field(default_factory=random_card)
    phone: str = field(default_factory=random_phone)
    id: str = ""

    @property
    def number(self) -> str:
        return str(self.card["document_number"])

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no event, log or error may contain."""
        return self.number, self.phone, str(self.card["address"])


@dataclass
class Window:
    """A clerk's API calls: registers people and issues certificates; `inbox` has what phones received."""

    clerk: Staff
    inbox: str = ""

    async def read_card(self, citizen: Citizen, **changes: object) -> httpx2.Response:
        return await self.clerk.call("POST", WINDOW, json=citizen.card | changes)

    async def issue(self, citizen: Citizen, phone: str | None = None) -> httpx2.Response:
        return await self.clerk.call("POST", self._certificate(citizen), json={"phone": phone or citizen.phone})

    async def phone_code(self, citizen: Citizen, phone: str, **more: str) -> httpx2.Response:
        """Sends a code to a phone that is to be bound."""
        body = {"phone": phone, **more}
        return await self.clerk.call("POST", f"{self._certificate(citizen)}/phone-codes", json=body)

    async def rebind(self, citizen: Citizen, phone: str, **more: str) -> httpx2.Response:
        """Binds another phone with the code that it received."""
        before = len(await code_messages(self.clerk.http, self.inbox, phone))
        sent = await self.phone_code(citizen, phone, **more)
        if sent.status_code != 202:
            return sent
        code = await newest_code(self.clerk.http, self.inbox, phone, before + 1)
        return await self.bind(citizen, phone, challenge_id=sent.json()["challenge_id"], code=code, **more)

    async def bind(self, citizen: Citizen, phone: str, **proof: str) -> httpx2.Response:
        body = {"phone": phone, **proof}
        return await self.clerk.call("PUT", self._certificate(citizen), json=body, headers=NEW_PHONE)

    async def look_up(self, citizen: Citizen) -> httpx2.Response:
        """Looks up a person by a typed number, without a card."""
        body = {name: citizen.card[name] for name in ("document_type", "document_number")}
        return await self.clerk.call("POST", f"{WINDOW}/lookup", json=body)

    async def waiting(self, citizen: Citizen, phone: str) -> str:
        """The id of a rebinding that waits for a second clerk, because no card was read."""
        assert (await self.look_up(citizen)).status_code == 200
        answer = await self.rebind(citizen, phone)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["waiting"]["rebinding_id"])

    async def revoke(self, citizen: Citizen) -> httpx2.Response:
        return await self.clerk.call("DELETE", self._certificate(citizen))

    async def registered(self) -> Citizen:
        """A new person without a certificate."""
        citizen = Citizen()
        response = await self.read_card(citizen)
        assert response.status_code == 201, response.text
        citizen.id = str(response.json()["practitioner_id"])
        return citizen

    async def enrolled(self) -> Citizen:
        """A new person who can log in."""
        citizen = await self.registered()
        response = await self.issue(citizen)
        assert response.status_code == 201, response.text
        return citizen

    def _certificate(self, citizen: Citizen) -> str:
        return f"{WINDOW}/{citizen.id}/certificate"


@dataclass
class Session:
    """A logged-in citizen."""

    http: httpx2.AsyncClient
    tokens: dict[str, Any]

    async def call(self, method: str, path: str, **request: Any) -> httpx2.Response:
        headers = {**bearer(self.tokens["access_token"]), **request.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **request)

    async def refresh(self, token: str | None = None) -> httpx2.Response:
        body = {"refresh_token": token or self.tokens["refresh_token"]}
        return await self.http.post("/api/identity/tokens/refresh", json=body)


@dataclass
class LoginPage:
    """The login page, the phone's inbox, and (on a local stack only) the answers of its captchas."""

    http: httpx2.AsyncClient
    redis: "Redis"
    inbox: str

    async def captcha(self) -> dict[str, Any]:
        response = await self.http.post("/api/identity/captchas")
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def solved(self) -> dict[str, str]:
        captcha = await self.captcha()
        answer = await self.redis.get(f"identity:captcha:{captcha['captcha_id']}")
        return {"captcha_id": captcha["captcha_id"], "captcha_answer": str(answer)}

    async def ask(self, citizen: Citizen, **changes: str) -> httpx2.Response:
        """Requests a code with a solved captcha."""
        captcha = {} if "captcha_id" in changes else await self.solved()
        body = {"document_number": citizen.number, "phone": citizen.phone, **captcha, **changes}
        return await self.http.post(LOGIN_CODES, json=body)

    async def challenge(self, citizen: Citizen) -> str:
        response = await self.ask(citizen)
        assert response.status_code == 202, response.text
        return str(response.json()["challenge_id"])

    async def where_is(self, challenge: str) -> dict[str, Any]:
        response = await self.http.get(f"{LOGIN_CODES}/{challenge}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def resend(self, challenge: str) -> httpx2.Response:
        return await self.http.post(f"{LOGIN_CODES}/{challenge}/resend")

    async def try_code(self, challenge: str, code: str) -> httpx2.Response:
        return await self.http.post("/api/identity/login/sessions", json={"challenge_id": challenge, "code": code})

    async def messages(self, phone: str) -> list[str]:
        """The texts with a code that the phone has received, newest last; other texts are left out."""
        return await code_messages(self.http, self.inbox, phone)

    async def code(self, phone: str, count: int = 1, within: float = 20) -> str:
        """The code of the newest message once `count` have arrived."""
        return await newest_code(self.http, self.inbox, phone, count, within)

    async def logged_in(self, citizen: Citizen) -> Session:
        before = len(await self.messages(citizen.phone))
        challenge = await self.challenge(citizen)
        response = await self.try_code(challenge, await self.code(citizen.phone, before + 1))
        assert response.status_code == 201, response.text
        return Session(self.http, dict(response.json()))

    async def forget_limits(self, citizen: Citizen) -> None:
        """Removes the counters of this person and of all phones and devices, as after a minute."""
        for pattern in (f"*identity*person*{citizen.id}*", "*identity*phone*", "*identity*device*"):
            async for key in self.redis.scan_iter(pattern):
                await self.redis.delete(key)


async def crowd(window: Window, page: LoginPage, people: int) -> list[tuple[Citizen, str, str]]:
    """People who have requested a code: citizen, challenge, code."""
    few, asked = asyncio.Semaphore(8), list[tuple[Citizen, str]]()

    async def ask() -> None:
        async with few:
            citizen = await window.enrolled()
            asked.append((citizen, await page.challenge(citizen)))

    await asyncio.gather(*(ask() for _ in range(people)))
    return [(citizen, challenge, await page.code(citizen.phone, within=60)) for citizen, challenge in asked]


def another(code: str) -> str:
    """Six digits that differ from this code."""
    return f"{(int(code) + 1) % 10**6:06d}"


async def at_once(*calls: "asyncio.Future[httpx2.Response] | Any") -> list[httpx2.Response]:
    """The responses of concurrent calls."""
    return list(await asyncio.gather(*calls))


def just_now(text: str, within: float = 60) -> bool:
    """Whether a time of a response is a UTC time of the last seconds."""
    return abs((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()) < within


@pytest_asyncio.fixture(scope="session")
async def redis(stack: RunningStack) -> AsyncIterator["Redis"]:
    async with Redis.from_url(stack.facts["redis"], decode_responses=True, retry=Retry(NoBackoff(), 1)) as client:
        yield client


@pytest.fixture(scope="session")
def clerk(stack: RunningStack, gateway: httpx2.AsyncClient) -> Staff:
    return Staff(gateway, stack.facts["demo"]["clerk"])


@pytest.fixture(scope="session")
def operator(stack: RunningStack, gateway: httpx2.AsyncClient) -> Staff:
    return Staff(gateway, stack.facts["demo"]["operator"])


@pytest.fixture(scope="session")
def window(stack: RunningStack, clerk: Staff) -> Window:
    return Window(clerk, stack.facts["sms_inbox"])


@pytest.fixture(scope="session")
def login_page(stack: RunningStack, gateway: httpx2.AsyncClient, redis: "Redis") -> LoginPage:
    return LoginPage(gateway, redis, stack.facts["sms_inbox"])
