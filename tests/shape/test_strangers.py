"""Every endpoint, role and other people's ids, from the OpenAPI documents: nothing is told, nothing changes."""

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from kit.auth import Caller, TokenIssuer
from tests.shape.hostile import Endpoint, endpoints
from tests.support.names import own_id, seeded
from tests.support.people import EDUCATION, OWN
from tests.support.problems import problem, well_formed
from tests.support.visits import Citizen, LoginPage, Session, Window, bearer

SECRET_LINKS = {"challenge_id", "captcha_id"}
"""Who knows such an id may use it: it is the proof, nobody can guess it."""
PUBLIC = {
    "make_captcha", "request_code", "log_in", "refresh", "log_in_staff", "client_token", "keys", "list_kinds",
    "get_schema", "list_codes", "receive_receipts", "get_rules", "get_csv_template", "get_xlsx_template",
}  # fmt: skip
FORGED = 1_000


@dataclass(frozen=True)
class Victim:
    """Somebody with a file: what strangers would like to see, and what must be the same afterwards."""

    citizen: Citizen
    session: Session
    ids: dict[str, str]

    async def state(self) -> list[Any]:
        paths = ("/api/identity/practitioners/me", OWN, f"/api/records/records/{self.ids['record_id']}/history")
        return [(await self.session.call("GET", path)).raise_for_status().json() for path in paths]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def victim(window: Window, login_page: LoginPage) -> AsyncIterator[Victim]:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    record = (await session.call("POST", OWN, json={"kind": "education", "data": EDUCATION})).json()["record_id"]
    mine = (await session.call("GET", "/api/identity/sessions")).json()["items"][0]["session_id"]
    yield Victim(citizen, session, {"practitioner_id": citizen.id, "record_id": record, "session_id": mine})


def strangers(issuer: TokenIssuer) -> Iterator[tuple[str, dict[str, str]]]:
    """Everybody who has no business with the victim's file."""
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


async def knock(gateway: httpx2.AsyncClient, endpoint: Endpoint, path: str, headers: dict[str, str]) -> httpx2.Response:
    more = {"If-Match": '"1"', "X-Access-Reason": "curiosity"}
    return await gateway.request(endpoint.method, path, json=endpoint.sample, headers=more | headers)


def filled(endpoint: Endpoint, ids: dict[str, str]) -> str:
    path = endpoint.path
    for hole in endpoint.holes:
        path = path.replace(f"{{{hole}}}", ids.get(hole) or own_id())
    return path


async def test_strangers_learn_nothing_and_change_nothing(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, victim: Victim
) -> None:
    doors = [each for each in await endpoints(gateway) if each.operation not in PUBLIC]
    doors = [each for each in doors if set(each.holes) - SECRET_LINKS]
    before, seen = await victim.state(), 0
    for endpoint in doors:
        for name, headers in strangers(issuer):
            answer = await knock(gateway, endpoint, filled(endpoint, victim.ids), headers)
            elsewhere = await knock(gateway, endpoint, filled(endpoint, {}), headers)
            where = f"{endpoint.method} {endpoint.path} as {name}: {answer.status_code}"
            assert answer.status_code in ((401,) if not headers else (403, 404)), where
            body = well_formed(answer, *victim.citizen.secrets, victim.citizen.card["name"])
            assert (answer.status_code, body["code"]) == (elsewhere.status_code, elsewhere.json()["code"]), where
            seen += 1
    assert seen >= 7 * 13
    assert await victim.state() == before
    assert (await victim.session.refresh()).status_code == 200


async def test_everything_that_is_not_public_asks_who_is_there(gateway: httpx2.AsyncClient) -> None:
    for endpoint in await endpoints(gateway):
        if endpoint.operation not in PUBLIC and not set(endpoint.holes) & SECRET_LINKS:
            problem(await knock(gateway, endpoint, filled(endpoint, {}), {}), 401, "unauthorized")


def forged(token: str) -> Iterator[str]:
    """The token with some bytes of its header, claims or signature changed, for ever."""
    random = seeded()
    while True:
        parts = [bytearray(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")]
        for _ in range(random.randrange(1, 4)):
            part = random.choice(parts)
            part[random.randrange(len(part))] ^= random.randrange(1, 256)
        made = ".".join(base64.urlsafe_b64encode(bytes(part)).decode().rstrip("=") for part in parts)
        if made != token:  # two changes of one byte may undo each other
            yield made


@pytest.mark.parametrize("path", ["/api/identity/practitioners/me", OWN, "/api/notify/messages"])
async def test_of_a_thousand_forged_tokens_none_is_accepted(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, path: str
) -> None:
    caller = Caller(own_id(), "practitioner", frozenset({"operator"}), session=own_id())
    tokens = forged(issuer.issue(caller))
    for _ in range(FORGED):
        answer = await gateway.get(path, headers=bearer(next(tokens)))
        assert answer.status_code == 401, answer.text
