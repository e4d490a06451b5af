"""Strangers at every endpoint, with every role and other people's ids: nothing is disclosed, nothing changes."""

import base64
from collections.abc import Iterator

import httpx2
import pytest

from kit.security.tokens import Caller, TokenIssuer
from tests.shape.hostile_input import endpoints
from tests.shape.strangers import PUBLIC, SECRET_LINKS, Victim, filled, request_as, strangers
from tests.support.identity_clients import bearer
from tests.support.names import own_id, seeded
from tests.support.people import OWN
from tests.support.problems import problem, well_formed

FORGED = 1_000


async def test_strangers_see_nothing_and_change_nothing(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, victim: Victim
) -> None:
    foreign = [each for each in await endpoints(gateway) if each.operation not in PUBLIC]
    foreign = [each for each in foreign if set(each.holes) - SECRET_LINKS]
    before, seen = await victim.state(), 0
    for endpoint in foreign:
        for name, headers in strangers(issuer):
            answer = await request_as(gateway, endpoint, filled(endpoint, victim.ids), headers)
            missing = await request_as(gateway, endpoint, filled(endpoint, {}), headers)
            where = f"{endpoint.method} {endpoint.path} as {name}: {answer.status_code}"
            assert answer.status_code in ((401,) if not headers else (403, 404)), where
            body = well_formed(answer, *victim.citizen.secrets, victim.citizen.card["name"])
            assert (answer.status_code, body["code"]) == (missing.status_code, missing.json()["code"]), where
            seen += 1
    assert seen >= 7 * 13
    assert await victim.state() == before
    assert (await victim.session.refresh()).status_code == 200


async def test_every_endpoint_that_is_not_public_requires_a_token(gateway: httpx2.AsyncClient) -> None:
    for endpoint in await endpoints(gateway):
        if endpoint.operation not in PUBLIC and not set(endpoint.holes) & SECRET_LINKS:
            problem(await request_as(gateway, endpoint, filled(endpoint, {}), {}), 401, "unauthorized")


def forged(token: str) -> Iterator[str]:
    """The token with some bytes of its header, claims or signature changed."""
    random = seeded()
    while True:
        parts = [bytearray(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")]
        for _ in range(random.randrange(1, 4)):
            part = random.choice(parts)
            part[random.randrange(len(part))] ^= random.randrange(1, 256)
        made = ".".join(base64.urlsafe_b64encode(bytes(part)).decode().rstrip("=") for part in parts)
        if made != token:  # two changes of one byte may cancel each other
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
