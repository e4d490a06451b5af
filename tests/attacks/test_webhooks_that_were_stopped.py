"""A webhook paused by an operator is not resumed by its client, and ends with the client's rights."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import httpx2
import pytest_asyncio

from kit.security.ended_sessions import TOKEN_SECONDS
from kit.security.tokens import Caller, TokenIssuer
from services.identity.accounts.service import AccountService
from services.identity.wiring.shared import Dependencies
from tests.support.change_clients import SCOPE, WEBHOOKS, Client
from tests.support.identity_clients import bearer
from tests.support.names import own_id, own_name
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import eventually


async def test_a_client_cannot_resume_a_webhook_paused_by_an_operator(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    client = Client(gateway, issuer)
    operator = bearer(issuer.issue(Caller(own_id(), "staff", frozenset({"operator"}))))
    path = f"{WEBHOOKS}/{(await client.registered('http://127.0.0.1:9/'))['webhook_id']}"
    assert (await client.call("POST", f"{path}/pause")).json()["reason"] == "owner"
    assert (await gateway.post(f"{path}/pause", headers=operator)).json()["reason"] == "operator"
    problem(await client.call("POST", f"{path}/resume"), 409, "paused_by_operator")
    assert (await client.call("POST", f"{path}/pause")).json()["reason"] == "operator"
    now = (await client.call("GET", path)).json()
    change = {"If-Match": f'"{now["version"]}"'}
    changed = (await client.call("PUT", path, json={"url": "http://127.0.0.1:9/b"}, headers=change)).json()
    assert (changed["state"], changed["reason"]) == ("paused", "operator")
    assert (await gateway.post(f"{path}/resume", headers=operator)).json()["state"] == "active"
    await client.forget()


@dataclass
class Registered:
    """An API client as operators create it, with a webhook."""

    http: httpx2.AsyncClient
    accounts: AccountService
    operator: dict[str, str]
    receiver: Receiver
    id: str = field(default_factory=lambda: own_name("client"))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    path: str = ""

    async def token(self) -> httpx2.Response:
        form = {"grant_type": "client_credentials"}
        return await self.http.post("/api/identity/oauth/token", data=form, auth=(self.id, self.secret))

    async def may(self, *scopes: str) -> None:
        """Sets the scopes with the command `client`."""
        await self.accounts.save_client(self.id, self.secret, list(scopes), timedelta())

    async def follow(self) -> None:
        await self.may(SCOPE)
        given = (await self.token()).raise_for_status().json()
        assert given["expires_in"] <= TOKEN_SECONDS, "for so long the feed is read on at most"
        made = await self.http.post(
            WEBHOOKS, json={"url": self.receiver.url}, headers=bearer(given["access_token"])
        )  # fmt: skip
        assert made.status_code == 201, made.text
        self.path = f"{WEBHOOKS}/{made.json()['webhook_id']}"

    async def is_suspended(self) -> bool:
        seen = (await self.http.get(self.path, headers=self.operator)).json()
        assert seen["state"] == "active"
        return bool(seen["suspended"])

    async def suspended(self, *, now: bool) -> None:
        async def so() -> bool:
            return await self.is_suspended() is now

        await eventually(so, 20, f"suspended: {now}")


@pytest_asyncio.fixture
async def registered(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, inside: Dependencies
) -> AsyncIterator[Registered]:  # fmt: skip
    operator = bearer(issuer.issue(Caller(own_id(), "staff", frozenset({"operator"}))))
    async with receiving() as receiver:
        made = Registered(gateway, inside.services.accounts, operator, receiver)
        yield made
        await gateway.post(f"{made.path}/pause", headers=operator)


async def test_a_client_that_was_disabled_or_lost_its_scope_gets_nothing_more(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, registered: Registered, new_person: Callable[[], Person]
) -> None:
    other, person = Client(gateway, issuer), new_person()
    await registered.follow()
    async with receiving() as others:
        await other.registered(others.url)
        await person.created()
        await registered.receiver.until(lambda: bool(registered.receiver.events(person.id)), "the first record")
        await registered.accounts.switch_client(registered.id, enabled=False)
        await registered.suspended(now=True)
        problem(await registered.token(), 401, "invalid_client")
        missed = list[str]()

        async def passed_over() -> bool:
            """Whether an event that others got was not delivered to it, within a second of the change of rights."""
            record = await person.created()
            missed.append(record["record_id"])
            await others.until(lambda: subjects(others) >= {missed[-1]}, "others get it")
            return missed[-1] not in subjects(registered.receiver)

        await eventually(passed_over, 20, "nothing more is posted")
        await registered.accounts.switch_client(registered.id, enabled=True)
        await registered.receiver.until(lambda: subjects(registered.receiver) >= {*missed}, "it goes on where it was")
        await registered.may("records:read")
        await registered.suspended(now=True)
        await registered.may(SCOPE)
        await registered.suspended(now=False)
        await other.forget()


def subjects(receiver: Receiver) -> set[str]:
    """The ids of the records that arrived."""
    return {event["subject"] for event in receiver.events()}
