"""The simulated card reader of a clerk: serves cards to the portal's pages, and nothing to other sites."""

from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from deploy.local.card_reader.app import create_app
from deploy.local.card_reader.cards import CARDS
from kit.core.clock import SystemClock, shanghai_date
from services.identity.practitioners.registration import Registration

PAGES = "https://portal.example"
OF_THE_PORTAL = {"Origin": PAGES}


@pytest_asyncio.fixture
async def reader() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(create_app(PAGES))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:18006") as http:
        yield http


@pytest.mark.parametrize("name", CARDS)
async def test_a_card_is_read_in_the_format_of_identity(reader: httpx2.AsyncClient, name: str) -> None:
    assert (await reader.get("/card", headers=OF_THE_PORTAL)).status_code == 404
    await reader.post("/tray", data={"card": name})
    answer = await reader.get("/card", headers=OF_THE_PORTAL)
    assert answer.headers["access-control-allow-origin"] == PAGES
    context = {"today": shanghai_date(SystemClock().now())}
    assert Registration.model_validate(answer.json(), context=context).source == "card_reader"
    assert answer.json()["name"] in (await reader.get("/")).text
    await reader.post("/tray", data={"card": "none"})
    assert (await reader.get("/card", headers=OF_THE_PORTAL)).json() == {"code": "no_card"}


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_other_sites_cannot_read_cards(reader: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    await reader.post("/tray", data={"card": "demo"})
    answer = await reader.get("/card", headers=headers)
    assert (answer.status_code, answer.json()) == (403, {"code": "origin_not_allowed"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_cors_preflight_request_is_allowed(reader: httpx2.AsyncClient) -> None:
    asked = OF_THE_PORTAL | {"Access-Control-Request-Private-Network": "true"}
    answer = await reader.options("/card", headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-private-network"]) == (204, "true")
    assert (await reader.options("/card", headers=asked | {"Origin": "https://evil.example"})).status_code == 403


async def test_another_host_name_is_refused(reader: httpx2.AsyncClient) -> None:
    answer = await reader.get("/card", headers=OF_THE_PORTAL | {"Host": "evil.example"})
    assert answer.status_code == 400
