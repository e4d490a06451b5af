"""What tests of every endpoint share: somebody with a file."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.shape.strangers import Victim
from tests.support.people import EDUCATION, OWN
from tests.support.visits import LoginPage, Window


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def victim(window: Window, login_page: LoginPage) -> AsyncIterator[Victim]:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    record = (await session.call("POST", OWN, json={"kind": "education", "data": EDUCATION})).json()["record_id"]
    mine = (await session.call("GET", "/api/identity/sessions")).json()["items"][0]["session_id"]
    yield Victim(citizen, session, {"practitioner_id": citizen.id, "record_id": record, "session_id": mine})
