"""A person with a dossier, and callers who may not access it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

from kit.security.tokens import Caller, TokenIssuer
from tests.shape.hostile_input import Endpoint, endpoints
from tests.support.identity_clients import Citizen, Session, bearer
from tests.support.names import own_id
from tests.support.people import OWN

SECRET_LINKS = {"challenge_id", "captcha_id"}
"""Who knows such an id may use it: it is the proof, nobody can guess it."""
PUBLIC = {
    "make_captcha", "request_code", "log_in", "refresh", "log_in_staff", "client_token", "keys", "list_kinds",
    "get_schema", "list_codes", "receive_receipts", "get_rules", "get_csv_template", "get_xlsx_template",
    "is_erased", "challenge_passkey", "log_in_with_passkey",
}  # fmt: skip


async def protected(gateway: httpx2.AsyncClient) -> list[Endpoint]:
    """The endpoints that need a token."""
    found = [each for each in await endpoints(gateway) if each.operation not in PUBLIC]
    return [each for each in found if not set(each.holes) & SECRET_LINKS]


@dataclass(frozen=True)
class Things:
    """One object of each kind: `ids` by path parameter, `clients` by the API client that owns them."""

    ids: dict[str, str]
    clients: dict[str, str]


@dataclass(frozen=True)
class Victim:
    """A person with a dossier, whose state must not change."""

    citizen: Citizen
    session: Session
    ids: dict[str, str]

    async def state(self) -> list[Any]:
        me = "/api/identity/practitioners/me"
        paths = (me, f"{me}/certificate", OWN, f"/api/records/records/{self.ids['record_id']}/history")
        return [(await self.session.call("GET", path)).raise_for_status().json() for path in paths]


def strangers(issuer: TokenIssuer) -> Iterator[tuple[str, dict[str, str]]]:
    """Callers who may not access the victim's dossier."""
    yield "nobody", {}
    for name, caller in {
        "another practitioner": Caller(own_id(), "practitioner", session=own_id()),
        "a practitioner with roles of staff": Caller(own_id(), "practitioner", frozenset({"operator"})),
        "staff without a role": Caller(own_id(), "staff"),
        "an operator": Caller(own_id(), "staff", frozenset({"operator"})),
        "a client without scopes": Caller("client-1", "client"),
        "a client of another kind": Caller("client-2", "client", scopes=frozenset({"imports:write", "changes:read"})),
    }.items():
        yield name, bearer(issuer.issue(caller))


async def request_as(
    gateway: httpx2.AsyncClient, endpoint: Endpoint, path: str, headers: dict[str, str]
) -> httpx2.Response:
    more = {"If-Match": '"1"', "X-Access-Reason": "curiosity"}
    return await gateway.request(endpoint.method, path, json=endpoint.sample, headers=more | headers)


def filled(endpoint: Endpoint, ids: dict[str, str]) -> str:
    path = endpoint.path
    for hole in endpoint.holes:
        path = path.replace(f"{{{hole}}}", ids.get(hole) or own_id())
    return path
