"""A browser over plain HTTP: keeps cookies, submits the forms of pages, logs in through them."""

import re
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from typing import Any

import httpx2

from tests.support.identity_clients import Citizen, LoginPage

CSRF = re.compile(r'name="csrf" value="([^"]+)"')
HIDDEN = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"')
COOKIE = "__Host-portal"


@dataclass
class Browsing:
    """One browser: `cookies` by name. Redirects are not followed, so that a test sees their target."""

    http: httpx2.AsyncClient
    cookies: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        headers = {**cookie, **request.pop("headers", {})}
        response = await self.http.request(method, path, headers=headers, **request)
        for line in response.headers.get_list("set-cookie"):
            self._take(line)
        return response

    def _take(self, line: str) -> None:
        for name, morsel in SimpleCookie(line).items():
            self.cookies[name] = morsel.value
            if morsel["max-age"] == "0":
                del self.cookies[name]

    async def get(self, path: str) -> httpx2.Response:
        return await self.ask("GET", path)

    async def csrf(self, path: str) -> str:
        """The token of a page's first form."""
        return token_of((await self.get(path)).text)

    async def submit(self, path: str, page: str = "", **fields: str) -> httpx2.Response:
        """Submits a form of `page` (default: the same path) with its hidden fields and these."""
        hidden = hidden_of((await self.get(page or path)).text, path)
        return await self.ask("POST", path, data=hidden | fields)

    async def log_in(self, citizen: Citizen, login: LoginPage, next: str = "/") -> httpx2.Response:  # noqa: A002
        """Logs in by captcha and SMS code. Returns the response that redirects the browser."""
        before = len(await login.messages(citizen.phone))
        sent = await self.ask_code(citizen, login, next)
        assert sent.headers.get("location") == "/login/code", sent.text
        return await self.submit("/login/code", code=await login.code(citizen.phone, before + 1))

    async def ask_code(self, citizen: Citizen, login: LoginPage, next: str = "/") -> httpx2.Response:  # noqa: A002
        """The first step of the log-in, with a solved captcha."""
        hidden = hidden_of((await self.get(f"/login?next={next}")).text, "/login")
        answer = await login.redis.get(f"identity:captcha:{hidden['captcha_id']}")
        who = {"document_number": citizen.number, "phone": citizen.phone, "captcha": str(answer)}
        return await self.ask("POST", "/login", data=hidden | who)


def token_of(page: str) -> str:
    """The CSRF token of a page's first form."""
    found = CSRF.search(page)
    assert found, page
    return found[1]


def hidden_of(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form of a page that goes to `action`."""
    form = next(part for part in page.split("<form")[1:] if f'action="{action}"' in part.split(">")[0])
    return {name: unescape(value) for name, value in HIDDEN.findall(form.split("</form>")[0])}
