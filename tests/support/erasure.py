"""Erasures as staff request them: one admin asks, another approves."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import httpx2

from contracts.identity import PractitionerErased
from kit.core.events import NewEvent, encode
from kit.kafka import Producer
from kit.security.tokens import Caller, TokenIssuer
from services.identity.erasures.domain import erasure_id
from tests.support.identity_clients import WINDOW, bearer
from tests.support.names import own_id
from tests.support.stack import RunningStack

GROUND = "依本人申请"


@dataclass
class Colleague:
    """A member of staff with these roles, who gives an access reason in each call."""

    http: httpx2.AsyncClient
    issuer: TokenIssuer
    role: str = "admin"
    id: str = field(default_factory=own_id)

    async def call(self, method: str, person: str, rest: str = "erasure", why: str = GROUND) -> httpx2.Response:
        """Calls the erasure API of a person."""
        token = self.issuer.issue(Caller(self.id, "staff", frozenset({self.role})))
        headers = bearer(token) | ({"X-Access-Reason": quote(why)} if why else {})
        return await self.http.request(method, f"{WINDOW}/{person}/{rest}", headers=headers)

    async def asks(self, person: str) -> httpx2.Response:
        return await self.call("POST", person)

    async def approves(self, person: str) -> httpx2.Response:
        return await self.call("POST", person, "erasure/approval")

    async def stops(self, person: str) -> httpx2.Response:
        return await self.call("DELETE", person)


async def have_erased(http: httpx2.AsyncClient, issuer: TokenIssuer, person: str) -> None:
    """Requests and approves an erasure as two admins; it is carried out a second later."""
    asked = await Colleague(http, issuer).asks(person)
    assert (asked.status_code, asked.json()["state"]) == (202, "requested"), asked.text
    approved = await Colleague(http, issuer).approves(person)
    assert (approved.status_code, approved.json()["state"]) == (202, "approved"), approved.text


async def forge(stack: RunningStack, person: str, proof: str) -> None:
    """Writes an erasure event as an attacker with write access to identity's topic would."""
    facts = {"practitioner_id": person, "version": 1, "action": "carried_out", "changed": [], "at": datetime.now(UTC)}
    event = encode(
        NewEvent(PractitionerErased, {**facts, "erasure_id": erasure_id(person), "proof": proof}), "/identity", 6
    )
    producer = Producer(stack.kafka_settings())
    await producer.start()
    try:
        await producer.send(event.topic, event.key, event.value, event.headers, event.partition)
    finally:
        await producer.close()
