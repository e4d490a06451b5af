"""Fixtures for tests of every endpoint: a person with a dossier, API clients with their objects, security events."""

from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from deploy.local.people import random_phone
from kit.security.tokens import TokenIssuer
from tests.shape.strangers import Things, Victim
from tests.support.change_clients import Client
from tests.support.events import SecurityLog
from tests.support.identity_clients import LoginPage, Window
from tests.support.imports import Sender, as_csv, registration
from tests.support.names import own_name
from tests.support.people import EDUCATION, OWN
from tests.support.scans import scan
from tests.support.stack import RunningStack


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def victim(window: Window, login_page: LoginPage) -> AsyncIterator[Victim]:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    record = (await session.call("POST", OWN, json={"kind": "education", "data": EDUCATION})).json()["record_id"]
    mine = (await session.call("GET", "/api/identity/sessions")).json()["items"][0]["session_id"]
    waiting = await window.waiting(citizen, random_phone())
    ids = {"practitioner_id": citizen.id, "record_id": record, "session_id": mine, "rebinding_id": waiting}
    yield Victim(citizen, session, ids)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def things(gateway: httpx2.AsyncClient, issuer: TokenIssuer, victim: Victim) -> AsyncIterator[Things]:
    """One object of each kind, of the victim and of two clients."""
    scans = f"/api/attachments/records/{victim.ids['record_id']}/attachment"
    upload = {"files": {"file": ("scan.jpg", scan(72), "image/jpeg")}, "data": {"title": "扫描件"}}
    attachment = (await victim.session.call("POST", scans, **upload)).json()["attachment_id"]
    photo = {"files": {"file": ("photo.jpg", scan(200), "image/jpeg")}}
    corrected = await victim.session.call("POST", "/api/attachments/corrections", **photo)
    form = (await victim.session.call("POST", "/api/signature/practitioners/me/forms")).json()["form_id"]
    follower, sender = Client(gateway, issuer), Sender(gateway, issuer)
    webhook = (await follower.registered("https://example.org/hook"))["webhook_id"]
    rows = as_csv([registration(victim.citizen.number, own_name("k"))])
    started = await sender.started("registration", rows)
    ids = {"attachment_id": attachment, "form_id": form, "webhook_id": webhook, "import_id": started}
    ids["correction_id"] = corrected.json()["correction_id"]
    yield Things(victim.ids | ids, {"webhook_id": follower.id, "import_id": sender.name})
    await follower.forget()


@pytest.fixture
def events(stack: RunningStack, gateway: httpx2.AsyncClient) -> SecurityLog:
    return SecurityLog(stack, gateway)
