"""The services over HTTP: one way to ask them, and what their refusals mean to a page."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, TypeAdapter

from kit.core.errors import AppError, FieldError, Unavailable
from kit.http.app import current_request_id
from kit.observability import tracing
from services.portal.settings import ServiceName

M = TypeVar("M", bound=BaseModel)
TIMEOUT = httpx2.Timeout(10, connect=1)
LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=3)
"""An idle connection is dropped before the service drops it: none is written into just when it closes."""
FIELD_ERRORS = TypeAdapter(list[FieldError])


class Refused(AppError):
    """A service said no: its status, code and sentence, its field errors, and whatever else it told (`answer`)."""

    cause = ""  # the service has recorded it

    def __init__(self, answer: Mapping[str, object], status: int, headers: Mapping[str, str]) -> None:
        kept = {name: value for name, value in headers.items() if name.lower() == "retry-after"}
        super().__init__(status, str(answer.get("code")), str(answer.get("detail")), headers=kept)
        self.answer, self.reason = answer, str(answer.get("reason") or "")
        self.fields = FIELD_ERRORS.validate_python(answer.get("errors") or [])


class RequestOptions(TypedDict, total=False):
    """What a request may carry, as httpx2 names it."""

    json: object
    params: Mapping[str, str | int]
    headers: Mapping[str, str]
    files: Mapping[str, tuple[str, bytes, str]]
    data: Mapping[str, str]


@dataclass(frozen=True)
class CallerContext:
    """For whom the services are asked: their token, and the address and the browser they come from."""

    address: str = ""
    device: str = ""
    token: str | None = None
    reason: str = ""

    def with_token(self, token: str) -> "CallerContext":
        """The same browser, logged in."""
        return replace(self, token=token)

    @property
    def headers(self) -> dict[str, str]:
        """As the services expect them."""
        given = {
            "Authorization": f"Bearer {self.token}" if self.token else "",
            "X-Forwarded-For": self.address,
            "User-Agent": self.device,
            "X-Request-Id": current_request_id(),
            "X-Access-Reason": quote(self.reason),
            **tracing.headers(),
        }
        return {name: value for name, value in given.items() if value}


class Backend:
    """Clients of the services, by name."""

    def __init__(self, clients: Mapping[str, httpx2.AsyncClient]) -> None:
        self._clients = clients

    @classmethod
    @asynccontextmanager
    async def opened(cls, addresses: Mapping[ServiceName, str]) -> AsyncIterator["Backend"]:
        """Connections for as long as the process lives."""
        async with AsyncExitStack() as stack:
            clients: dict[str, httpx2.AsyncClient] = {}
            for name, address in addresses.items():
                client = httpx2.AsyncClient(base_url=f"{address}/api/{name}", timeout=TIMEOUT, limits=LIMITS)
                clients[name] = await stack.enter_async_context(client)
            yield cls(clients)

    async def ask(
        self, asker: CallerContext, service: ServiceName, method: str, path: str, **asked: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """One request. Raises `Refused` for a 4xx answer, `Unavailable` when there is no answer or a 5xx."""
        asked["headers"] = asker.headers | dict(asked.get("headers", {}))
        try:
            response = await self._clients[service].request(method, path, **asked)
        except (httpx2.HTTPError, KeyError) as error:
            raise Unavailable(service) from error
        if response.status_code >= 500:
            raise Unavailable(service)
        if response.status_code >= 400:
            raise Refused(response.json(), response.status_code, response.headers)
        return response

    async def read(
        self,
        asker: CallerContext,
        service: ServiceName,
        model: type[M],
        method: str,
        path: str,
        **asked: Unpack[RequestOptions],
    ) -> M:
        """The answer's body as `model`."""
        return model.model_validate_json((await self.ask(asker, service, method, path, **asked)).content)
