"""Calls another service's API with the caller's token, or with this service's own."""

import time
from pathlib import Path
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from kit.core.errors import Unavailable, network_error
from kit.http import deadlines
from kit.observability import log, tracing
from kit.runtime import tls
from kit.security import security_events
from kit.settings import ClientSettings

M = TypeVar("M", bound=BaseModel)
HIDDEN = (401, 403, 404)
EARLY_SECONDS = 30
RESPONSE_SECONDS = 60.0
IDLE_SECONDS = 60
"""An idle connection is closed by its client before the service closes it, so that no request gets lost in between."""
logger = log.get(__name__)


def http_client(address: str, seconds: float, ca: Path | None) -> httpx2.AsyncClient:
    """HTTP calls to the service at `address`."""
    limits = httpx2.Limits(keepalive_expiry=IDLE_SECONDS)
    return httpx2.AsyncClient(base_url=address, timeout=seconds, limits=limits, verify=tls.client_context(ca))


class ServiceClient:
    """One service; `http` is an `http_client`."""

    def __init__(self, name: str, http: httpx2.AsyncClient) -> None:
        self._name, self._http = name, http
        self._seconds = http.timeout.read or RESPONSE_SECONDS

    async def ask(self, path: str, token: str, answer: type[M], body: BaseModel | None = None) -> M | None:
        """The response for the owner of the token (POST if there is a body); None if it is hidden from them.

        Raises `Unavailable`.
        """
        method, content = ("POST", body.model_dump_json().encode()) if body else ("GET", None)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        headers |= security_events.passed_on() | tracing.headers() | deadlines.headers(self._seconds)
        try:
            response = await self._http.request(method, path, headers=headers, content=content)
            if response.status_code in HIDDEN:
                return None
            return answer.model_validate(response.raise_for_status().json())
        except (httpx2.HTTPError, ValidationError, ValueError) as error:
            logger.warning("service call failed", dependency=self._name, error=network_error(error))
            raise Unavailable(self._name) from error


class _Token(BaseModel):
    access_token: str
    expires_in: int


class ClientCredentials:
    """An access token of this service's own (client credentials, RFC 6749 §4.4): renewed before it expires."""

    def __init__(self, http: httpx2.AsyncClient, path: str, client: ClientSettings, scope: str) -> None:
        self._http = http
        self._path = path
        self._client = client
        self._scope = scope
        self._token, self._until = "", 0.0

    async def get(self) -> str:
        """The token. Raises `Unavailable` if the issuer returns none."""
        if time.monotonic() > self._until - EARLY_SECONDS:
            form = {"grant_type": "client_credentials", "scope": self._scope}
            login = self._client.id, self._client.secret.get_secret_value()
            try:
                response = await self._http.post(self._path, data=form, auth=login)
                given = _Token.model_validate(response.raise_for_status().json())
            except (httpx2.HTTPError, ValidationError, ValueError) as error:
                logger.warning("client token not obtained", client=self._client.id, error=network_error(error))
                raise Unavailable("the token issuer") from error
            self._token, self._until = given.access_token, time.monotonic() + given.expires_in
        return self._token
