"""HTTP calls to the services, and their errors."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, TypeAdapter

from kit.core.errors import AppError, FieldError, Unavailable, network_error
from kit.http import deadlines
from kit.http.app import current_request_id
from kit.http.service_client import IDLE_SECONDS
from kit.observability import log, tracing
from kit.runtime import tls
from services.portal.settings import ServiceName

M = TypeVar("M", bound=BaseModel)
logger = log.get(__name__)
RESPONSE_SECONDS = 10
TIMEOUT = httpx2.Timeout(RESPONSE_SECONDS, connect=3)
"""Seconds. A connection includes the handshake of TLS, which takes more than a second when many people come at once."""
LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=IDLE_SECONDS)
FIELD_ERRORS = TypeAdapter(list[FieldError])


class Refused(AppError):
    """A 4xx response of a service: status, code, detail, field errors, and the whole body (`answer`)."""

    cause = ""  # the service has recorded the security event

    def __init__(self, answer: Mapping[str, object], status: int, headers: Mapping[str, str]) -> None:
        kept = {name: value for name, value in headers.items() if name.lower() == "retry-after"}
        super().__init__(status, str(answer.get("code")), str(answer.get("detail")), headers=kept)
        self.answer, self.reason = answer, str(answer.get("reason") or "")
        self.fields = FIELD_ERRORS.validate_python(answer.get("errors") or [])


class RequestOptions(TypedDict, total=False):
    """Arguments of a request that are passed on to httpx2."""

    json: object
    params: Mapping[str, str | int]
    headers: Mapping[str, str]
    files: Mapping[str, tuple[str, bytes, str]]
    data: Mapping[str, str]


@dataclass(frozen=True)
class CallerContext:
    """Who a call is made for: access token, address and user agent of the browser, access reason."""

    address: str = ""
    user_agent: str = ""
    token: str | None = None
    reason: str = ""

    def with_token(self, token: str) -> "CallerContext":
        """The same browser with an access token."""
        return replace(self, token=token)

    @property
    def headers(self) -> dict[str, str]:
        """The request headers for the services."""
        headers = {
            "Authorization": f"Bearer {self.token}" if self.token else "",
            "X-Forwarded-For": self.address,
            "User-Agent": self.user_agent,
            "X-Request-Id": current_request_id(),
            "X-Access-Reason": quote(self.reason),
            **tracing.headers(),
            **deadlines.headers(RESPONSE_SECONDS),
        }
        return {name: value for name, value in headers.items() if value}


class Backend:
    """HTTP clients of the services, by name."""

    def __init__(self, clients: Mapping[str, httpx2.AsyncClient]) -> None:
        self._clients = clients

    @classmethod
    @asynccontextmanager
    async def opened(cls, addresses: Mapping[ServiceName, str], ca: Path | None) -> AsyncIterator["Backend"]:
        """HTTP clients for the lifetime of the process."""
        context = tls.client_context(ca)
        async with AsyncExitStack() as stack:
            clients: dict[str, httpx2.AsyncClient] = {}
            for name, address in addresses.items():
                client = httpx2.AsyncClient(
                    base_url=f"{address}/api/{name}", timeout=TIMEOUT, limits=LIMITS, verify=context
                )
                clients[name] = await stack.enter_async_context(client)
            yield cls(clients)

    async def request(
        self, caller: CallerContext, service: ServiceName, method: str, path: str, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """Send a request. Raises `Refused` for a 4xx response, `Unavailable` for a 5xx or none."""
        options["headers"] = caller.headers | dict(options.get("headers", {}))
        try:
            response = await self._clients[service].request(method, path, **options)
        except (httpx2.HTTPError, KeyError) as error:
            logger.warning("service call failed", dependency=service, error=network_error(error))
            raise Unavailable(service) from error
        if response.status_code >= 500:
            raise Unavailable(service)
        if response.status_code >= 400:
            raise Refused(response.json(), response.status_code, response.headers)
        return response

    async def read(
        self,
        caller: CallerContext,
        service: ServiceName,
        model: type[M],
        method: str,
        path: str,
        **options: Unpack[RequestOptions],
    ) -> M:
        """Send a request and parse the response as `model`."""
        return model.model_validate_json((await self.request(caller, service, method, path, **options)).content)
