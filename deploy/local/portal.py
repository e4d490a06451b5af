"""A client of the public API for the demo and its data: every call checks the status of the response."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self

import httpx2
import pyotp
from redis.asyncio import Redis

CODE_ARRIVES_WITHIN = 30

_CODE = re.compile(r"动态密码为(\d{6})")


class UnexpectedAnswer(Exception):
    """A response has an unexpected status."""

    def __init__(self, response: httpx2.Response) -> None:
        request = response.request
        super().__init__(f"{request.method} {request.url} answered {response.status_code}: {response.text[:500]}")
        self.status = response.status_code
        self.retry_after = float(response.headers.get("Retry-After", 0))


class Portal:
    """A client of the gateway; `facts` are those of stack.json."""

    def __init__(self, facts: dict[str, Any], http: httpx2.AsyncClient, redis: Redis) -> None:
        self._facts = facts
        self.http = http
        self._redis = redis

    @classmethod
    @asynccontextmanager
    async def opened(cls, facts: dict[str, Any]) -> AsyncIterator[Self]:
        trusted = ssl.create_default_context(cafile=facts["ca"])
        async with (
            httpx2.AsyncClient(base_url=facts["gateway"], verify=trusted, timeout=15) as http,
            Redis.from_url(facts["redis"], decode_responses=True) as redis,
        ):
            yield cls(facts, http, redis)

    async def call(
        self, method: str, path: str, *, expect: tuple[int, ...], token: str | None = None, **request: Any
    ) -> httpx2.Response:
        """Send a request. Raises `UnexpectedAnswer` for a status that is not in `expect`."""
        headers = request.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        response = await self.http.request(method, path, headers=headers, **request)
        if response.status_code not in expect:
            raise UnexpectedAnswer(response)
        return response

    async def client_token(self, client_id: str, client_secret: str) -> str:
        form = {"grant_type": "client_credentials"}
        login = (client_id, client_secret)
        answer = await self.call("POST", "/api/identity/oauth/token", expect=(200,), data=form, auth=login)
        return str(answer.json()["access_token"])

    async def staff_token(self, username: str, password: str, totp_secret: str) -> str:
        body = {"username": username, "password": password, "totp": pyotp.TOTP(totp_secret).now()}
        answer = await self.call("POST", "/api/identity/staff/sessions", expect=(200, 201), json=body)
        return str(answer.json()["access_token"])

    async def find(self, token: str, document_number: str) -> str | None:
        """Return the practitioner's id; `None` when no practitioner has this resident identity card."""
        body = {"document_type": "resident_id", "document_number": document_number}
        path = "/api/identity/practitioners/lookup"
        answer = await self.call("POST", path, expect=(200, 404), token=token, json=body)
        return str(answer.json()["practitioner_id"]) if answer.status_code == 200 else None

    async def register(self, token: str, card: dict[str, Any]) -> str:
        path = "/api/identity/practitioners"
        answer = await self.call("POST", path, expect=(200, 201), token=token, json=card)
        return str(answer.json()["practitioner_id"])

    async def issue_certificate(self, token: str, practitioner_id: str, phone: str) -> dict[str, Any]:
        """Return the new certificate, or the problem that one is active already."""
        path = f"/api/identity/practitioners/{practitioner_id}/certificate"
        answer = await self.call("POST", path, expect=(201, 409), token=token, json={"phone": phone})
        return dict(answer.json())

    async def solved_captcha(self) -> dict[str, str]:
        """Request a captcha and read its answer from Redis, which only a local stack allows."""
        captcha = (await self.call("POST", "/api/identity/captchas", expect=(201,))).json()
        answer = await self._redis.get(f"identity:captcha:{captcha['captcha_id']}")
        return {"captcha_id": captcha["captcha_id"], "captcha_answer": str(answer)}

    async def request_code(self, document_number: str, phone: str, captcha: dict[str, str]) -> dict[str, Any]:
        body = {"document_number": document_number, "phone": phone, **captcha}
        return dict((await self.call("POST", "/api/identity/login/codes", expect=(202,), json=body)).json())

    async def code_in_inbox(self, phone: str, since: datetime) -> str:
        """Wait for a message that arrived after `since` and return its code, the newest if there are more."""
        async with asyncio.timeout(CODE_ARRIVES_WITHIN):
            while True:
                if code := await self._newest_code(phone, since):
                    return code
                await asyncio.sleep(0.05)

    async def _newest_code(self, phone: str, since: datetime) -> str | None:
        messages = (await self.http.get(f"{self._facts['sms_inbox']}/inbox.json", params={"phone": phone})).json()
        fresh = [m["text"] for m in messages if datetime.fromisoformat(m["at"]) >= since]
        codes = [found[1] for found in map(_CODE.search, fresh) if found]
        return codes[-1] if codes else None

    async def open_session(self, challenge_id: str, code: str) -> dict[str, Any]:
        """Log in with the code; returns the session with its tokens."""
        body = {"challenge_id": challenge_id, "code": code}
        answer = await self.call("POST", "/api/identity/login/sessions", expect=(201,), json=body)
        return dict(answer.json())

    async def add_record(self, token: str, kind: str, data: dict[str, Any], key: str = "") -> dict[str, Any]:
        """Add a record; with an idempotency key it is added once, however often this is called."""
        path, body = "/api/records/practitioners/me/records", {"kind": kind, "data": data}
        headers = {"Idempotency-Key": key} if key else {}
        return dict((await self.call("POST", path, expect=(201,), token=token, json=body, headers=headers)).json())
