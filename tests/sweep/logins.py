"""Clients that log in: a code by SMS, at times a wrong one first and the right one twice; a new person each time."""

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import httpx2

from kit.core.errors import Unavailable
from kit.redis import Cache
from kit.security.tokens import Caller, TokenIssuer
from tests.support.identity_clients import CODE, LOGIN_CODES, WINDOW, Citizen, another, bearer, code_messages
from tests.sweep.answers import Answer, Answers, has_status, pause_before_retry, unanswered
from tests.sweep.history import History, Login

WRONG_CODE_SECONDS = 45
"""Between two wrong codes: an address may send 100 an hour."""
RIGHT_TWICE, CODE_TWICE = 0.3, 0.1
PATIENCE_SECONDS = 100
"""For one step of a log-in; longer than the minute between two codes of a person."""
LONGEST_WAIT = 65.0
POLL_SECONDS = 0.5
SESSIONS = "/api/identity/login/sessions"


@dataclass
class LoginPages:
    """The window and the login page, behind the gateway; the inbox of all phones; the answers of the captchas."""

    http: httpx2.AsyncClient
    answers: Answers
    issuer: TokenIssuer
    cache: Cache
    inbox: str
    citizens: list[Citizen] = field(default_factory=list)
    until: float = math.inf
    """When every log-in is to be given up, by the monotonic clock."""
    _wrong_at: float = -math.inf

    def wrong_code_is_due(self) -> bool:
        """Whether the next log-in begins with a wrong code."""
        due = time.monotonic() - self._wrong_at > WRONG_CODE_SECONDS
        self._wrong_at = time.monotonic() if due else self._wrong_at
        return due

    async def enrol(self) -> Citizen | None:
        """A new person with a certificate; None if a server did not answer."""
        citizen = Citizen()
        self.citizens.append(citizen)
        response = await self._window(WINDOW, citizen.card, 200, 201)
        if response is None or unanswered(response):
            return None
        citizen.id = str(response.json()["practitioner_id"])
        issued = await self._window(f"{WINDOW}/{citizen.id}/certificate", {"phone": citizen.phone}, 201, 409)
        return citizen if has_status(issued, 201) else None

    async def _window(self, path: str, body: Mapping[str, object], *allowed: int) -> Answer:
        caller = Caller("sweep", "client", scopes=frozenset({"intake", "certificates:issue"}))
        token = self.issuer.issue(caller)
        return await self.answers.ask(self.http.post(path, json=body, headers=bearer(token)), *allowed)

    async def captcha(self) -> dict[str, str] | None:
        """A captcha and its answer; None if it could not be had, or was lost with Redis."""
        response = await self.answers.ask(self.http.post("/api/identity/captchas"), 201)
        if response is None or response.status_code != 201:
            return None
        identity = str(response.json()["captcha_id"])
        try:
            answer = await self.cache.get(f"captcha:{identity}")
        except Unavailable:
            return None
        return {"captcha_id": identity, "captcha_answer": answer} if answer else None

    async def request_code(self, citizen: Citizen, captcha: Mapping[str, str]) -> Answer:
        body = {"document_number": citizen.number, "phone": citizen.phone, **captcha}
        # 422: the captcha was lost with Redis
        return await self.answers.ask(self.http.post(LOGIN_CODES, json=body), 202, 422, 429)

    async def resend(self, challenge: str) -> Answer:
        return await self.answers.ask(self.http.post(f"{LOGIN_CODES}/{challenge}/resend"), 202, 410, 429)

    async def has_failed(self, challenge: str) -> bool:
        """Whether the page reports that the message may not have been sent."""
        response = await self.answers.ask(self.http.get(f"{LOGIN_CODES}/{challenge}"), 200)
        return response is not None and response.status_code == 200 and response.json()["state"] == "failed"

    async def newest_code(self, phone: str) -> str:
        """The code that the phone received, empty before one arrived."""
        try:
            found = CODE.search((await code_messages(self.http, self.inbox, phone) or [""])[-1])
        except (httpx2.TransportError, ValueError):
            return ""
        return found[1] if found else ""

    async def open_session(self, challenge: str, code: str, *allowed: int) -> Answer:
        body = {"challenge_id": challenge, "code": code}
        return await self.answers.ask(self.http.post(SESSIONS, json=body), 429, *allowed)


@dataclass
class LoginAttempt:
    """One log-in and what was counted in it, as `Login` has it."""

    pages: LoginPages
    citizen: Citizen
    random: Random
    requests: int = 0
    opened: int = 0
    opened_by_wrong: int = 0
    proved: bool = False
    unlimited: bool = False
    _until: float = field(default=0)

    async def run(self) -> Login:
        """Go through the log-in as far as the servers let it."""
        if (challenge := await self.challenge()) and (code := await self._code(challenge)):
            if self.random.random() < CODE_TWICE:
                await self.request_too_soon(challenge)
            if self.pages.wrong_code_is_due():
                wrong = await self.pages.open_session(challenge, another(code), 401)
                self.opened_by_wrong += has_status(wrong, 201)
            await self._open(challenge, code)
        return self.logged()

    def logged(self) -> Login:
        """The entry of the log."""
        return Login(
            self.citizen.id, self.citizen.phone, self.requests, self.opened, self.opened_by_wrong, self.proved,
            self.unlimited,
        )  # fmt: skip

    def _begin(self) -> None:
        self._until = time.monotonic() + PATIENCE_SECONDS

    @property
    def _patient(self) -> bool:
        return self._left > 0

    @property
    def _left(self) -> float:
        """Seconds until the step is given up."""
        return min(self._until, self.pages.until) - time.monotonic()

    async def challenge(self) -> str:
        """Request a code until it is accepted; each try needs a captcha of its own."""
        self._begin()
        while self._patient:
            captcha = await self.pages.captcha()
            answer = await self.pages.request_code(self.citizen, captcha) if captcha else None
            if captcha:
                self._count(answer)
            if answer is not None and answer.status_code == 202:
                return str(answer.json()["challenge_id"])
            await pause_before_retry(answer, min(LONGEST_WAIT, self._left))
        return ""

    def _count(self, answer: Answer) -> None:
        self.requests += unanswered(answer) or has_status(answer, 202)

    async def _code(self, challenge: str) -> str:
        """Wait for the message; request it again when the page reports a failure, as a person has to."""
        self._begin()
        while self._patient:
            if code := await self.pages.newest_code(self.citizen.phone):
                return code
            await asyncio.sleep(POLL_SECONDS)
            if self.random.random() < 0.2 and await self.pages.has_failed(challenge):
                answer = await self.pages.resend(challenge)
                self._count(answer)
                await pause_before_retry(answer, min(LONGEST_WAIT, self._left))
        return ""

    async def request_too_soon(self, challenge: str) -> None:
        """Request the code twice within its minute."""
        answers = [await self.pages.resend(challenge) for _ in range(2)]
        for answer in answers:
            self._count(answer)
        self.unlimited = all(has_status(answer, 202) for answer in answers)

    async def _open(self, challenge: str, code: str) -> None:
        """Log in; after an attempt without an answer the code may be used up."""
        self._begin()
        lost = False
        while self._patient and not self.opened:
            self.proved = True
            answer = await self.pages.open_session(challenge, code, *((201, 410) if lost else (201,)))
            self.opened += has_status(answer, 201)
            if has_status(answer, 410):
                return
            lost = lost or unanswered(answer)
            if not self.opened:
                await pause_before_retry(answer)
        if self.opened and self.random.random() < RIGHT_TWICE:
            self.opened += has_status(await self.pages.open_session(challenge, code, 410), 201)


@dataclass
class LoginClient:
    """A client that logs one new person in after the other."""

    pages: LoginPages
    history: History
    random: Random

    async def act(self) -> None:
        """Enrol a person, and log them in."""
        if citizen := await self.pages.enrol():
            self.history.add(await LoginAttempt(self.pages, citizen, self.random).run())
