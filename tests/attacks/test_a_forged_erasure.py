"""Nobody is erased by a forged event, by one admin alone, or before others could stop it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import pytest
import pytest_asyncio

from kit.core.clock import ManualClock
from kit.privacy.erasure import NOT_CONFIRMED
from kit.security.tokens import Caller, TokenIssuer
from services.identity.erasures.domain import ErasureRequest, erasure_id
from services.identity.settings import Settings
from services.identity.wiring.shared import Dependencies, open_dependencies
from tests.support.erasure import GROUND, Colleague, forge, have_erased
from tests.support.identity_clients import WINDOW, Citizen, Window, bearer
from tests.support.names import own_id, own_name
from tests.support.own_services import identity
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.stack import RunningStack
from tests.support.stored_data import SERVICES, held
from tests.support.waiting import eventually

CAP = 2


def refusals(stack: RunningStack, person: str) -> set[str]:
    """The services that have logged a refusal."""
    return {
        service
        for service in SERVICES
        for line in stack.log(f"{service}-worker").read_text(errors="replace").splitlines()
        if '"event":"erasure"' in line and NOT_CONFIRMED in line and person in line
    }


async def test_a_forged_event_deletes_nothing_in_any_service(
    stack: RunningStack, gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window
) -> None:
    victim, other = await window.enrolled(), await window.enrolled()
    record = await Person(gateway, issuer, victim.id).created()

    async def known_everywhere() -> bool:
        return {"identity.practitioners", "identity.certificates", "notify.messages"} <= await held(stack, victim.id)

    await eventually(known_everywhere, 30, "notify knows them, too", pause=0.5)
    await have_erased(gateway, issuer, other.id)
    erased = f"/api/identity/.well-known/erased/{other.id}"

    async def carried_out() -> bool:
        return bool((await gateway.get(erased)).json()["erased"])

    await eventually(carried_out, 20, "somebody else is erased")
    before = await held(stack, victim.id)
    await forge(stack, victim.id, proof="made up")

    async def refused() -> bool:
        return refusals(stack, victim.id) == set(SERVICES)

    await eventually(refused, 30, "every service refuses it", pause=0.3)
    assert await held(stack, victim.id) == before
    assert (await Person(gateway, issuer, victim.id).get(record["record_id"])).status_code == 200
    assert (await gateway.get(f"/api/identity/.well-known/erased/{victim.id}")).json() == {"erased": False}


async def test_one_admin_alone_erases_nobody_and_the_person_is_notified(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window
) -> None:
    citizen = await window.enrolled()
    admin, clerk = Colleague(gateway, issuer), Colleague(gateway, issuer, "clerk")
    problem(await clerk.asks(citizen.id), 403, "forbidden")
    problem(await admin.call("POST", citizen.id, why=""), 422, "invalid_fields")
    problem(await admin.asks(own_id()), 404, "not_found")
    asked = (await admin.asks(citizen.id)).json()
    assert (asked["state"], asked["times"], asked["requested_by"]) == ("requested", 1, f"staff:{admin.id}")
    assert (await admin.asks(citizen.id)).json() == asked, "again changes nothing"
    problem(await admin.approves(citizen.id), 403, "second_person_required")
    problem(await clerk.approves(citizen.id), 403, "forbidden")

    async def known_everywhere() -> bool:
        inbox = await gateway.get(f"{window.inbox}/inbox.json", params={"phone": citizen.phone})
        return any("申请删除您" in message["text"] for message in inbox.json())

    await eventually(known_everywhere, 20, "the person gets an SMS")
    person = Person(gateway, issuer, citizen.id)

    async def seen() -> bool:
        entries = (await person.call("GET", f"{WINDOW}/me/access-log")).json()["items"]
        return any((entry["what"], entry["reason"]) == ("erasure_requested", GROUND) for entry in entries)

    await eventually(seen, 20, "the person sees who asked for it")
    stopped = await clerk.stops(citizen.id)
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
    problem(await Colleague(gateway, issuer).approves(citizen.id), 409, "no_open_erasure")
    problem(await clerk.stops(citizen.id), 409, "no_open_erasure")


@dataclass
class Own:
    """identity on a database of its own, whose worker is run by the test."""

    http: httpx2.AsyncClient
    issuer: TokenIssuer
    parts: Dependencies
    clock: ManualClock

    async def registered(self) -> str:
        clerk = bearer(self.issuer.issue(Caller(own_id(), "staff", frozenset({"clerk"}))))
        answer = await self.http.post(WINDOW, json=Citizen().card, headers=clerk)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["practitioner_id"])

    async def approved(self) -> str:
        person = await self.registered()
        await have_erased(self.http, self.issuer, person)
        return person

    async def carried_out(self, later: timedelta = timedelta()) -> None:
        self.clock.advance(later)
        await self.parts.eraser.carry_out()

    async def erased(self, person: str) -> bool:
        return bool((await self.http.get(f"/api/identity/.well-known/erased/{person}")).json()["erased"])


@pytest_asyncio.fixture
async def own(stack: RunningStack, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Own]:
    name, clock = own_name("identity"), ManualClock()
    settings = {"MONGO__DATABASE": name, "ERASURES__DELAY_SECONDS": "600", "ERASURES__PER_DAY": str(CAP)}
    async with (
        identity(stack, monkeypatch, clock, settings=settings) as http,
        open_dependencies(Settings(), clock) as made,
    ):
        await made.store.prepare()
        try:
            yield Own(http, issuer, made, clock)
        finally:
            await made.database.client.drop_database(name)


async def test_any_member_of_staff_stops_a_pending_erasure(own: Own) -> None:
    stopped, goes_on = await own.approved(), await own.approved()
    await own.carried_out(timedelta(minutes=9))
    assert not await own.erased(goes_on)
    assert (await Colleague(own.http, own.issuer, "clerk").stops(stopped)).status_code == 200
    await own.carried_out(timedelta(minutes=2))
    assert (await own.erased(stopped), await own.erased(goes_on)) == (False, True)
    problem(await Colleague(own.http, own.issuer).stops(goes_on), 409, "no_open_erasure")


async def test_erasures_per_day_are_limited(own: Own) -> None:
    people = [await own.approved() for _ in range(CAP + 1)]
    await own.carried_out(timedelta(minutes=11))
    await own.carried_out()
    assert [await own.erased(person) for person in people] == [True, True, False]
    await own.carried_out(timedelta(days=1))
    assert await own.erased(people[-1])


async def test_an_erasure_known_from_the_topic_only_is_carried_out_with_a_genuine_proof(own: Own) -> None:
    """As after restoring a backup; erasures of an earlier version without proofs have one afterwards."""
    now, proof = own.clock.now(), "made up"
    before, genuine, forged = [await own.registered() for _ in range(3)]
    legacy = ErasureRequest.first(
        at=now, by="staff:x", action="erased", id=erasure_id(before), practitioner_id=before, reason=GROUND
    ).model_dump(by_alias=True)  # fmt: skip
    await own.parts.database["erasures"].insert_one(
        {name: value for name, value in legacy.items() if name not in ("state", "proof", "slot", "due_at")}
    )
    assert await own.erased(before)
    await own.parts.eraser.check_proofs()
    known = await own.parts.store.erasures.get(erasure_id(before))
    assert known
    assert known.proof
    for person, claimed in ((genuine, ""), (forged, proof), (own_id(), known.proof)):
        given = claimed or await proof_of(own, person)
        claim = ErasureRequest.first(
            at=now, by="command:restore", action="restored", id=erasure_id(person), practitioner_id=person,
            reason="restored from the topic", state="restored", proof=given,
        )  # fmt: skip
        await own.parts.store.erasures.insert(claim)
        assert not await own.erased(person)
    async with open_dependencies(Settings(), own.clock) as restarted:
        await restarted.eraser.check_proofs()
    assert (await own.erased(genuine), await own.erased(forged)) == (True, False)
    assert (await Colleague(own.http, own.issuer).call("GET", forged)).json()["state"] == "stopped"


async def proof_of(own: Own, person: str) -> str:
    """The proof that identity published when it erased them, before the database was lost."""
    await have_erased(own.http, own.issuer, person)
    await own.carried_out(timedelta(minutes=11))
    known_everywhere = await own.parts.database["erasures"].find_one_and_delete({"_id": erasure_id(person)})
    return str((known_everywhere or {})["proof"])
