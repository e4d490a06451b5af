"""Mass look-ups of document numbers are seen by those found, counted, and stopped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY

from kit.security.tokens import Caller, TokenIssuer
from tests.attacks.conftest import IdentityApi
from tests.support.events import SecurityLog
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Window, bearer
from tests.support.names import own_id, own_name
from tests.support.problems import problem, retry_after_seconds
from tests.support.stack import RunningStack
from tests.support.staffing import Hire
from tests.support.waiting import eventually

ONE, MANY = f"{WINDOW}/lookup", f"{WINDOW}/lookups"
SCOPES = frozenset({"practitioners:lookup"})


def document(citizen: Citizen) -> dict[str, str]:
    return {"document_type": "resident_id", "document_number": citizen.number}


def documents(*citizens: Citizen) -> dict[str, Any]:
    return {"documents": [document(citizen) for citizen in citizens]}


def client(issuer: TokenIssuer, name: str = "") -> dict[str, str]:
    return bearer(issuer.issue(Caller(name or own_name("client"), "client", scopes=SCOPES)))


def clerk(issuer: TokenIssuer) -> dict[str, str]:
    return bearer(issuer.issue(Caller(own_id(), "staff", frozenset({"clerk"}))))


def counted(cause: str, outcome: str = "done") -> float:
    """Security events of an API inside this process."""
    labels = {"event": "people_lookup", "outcome": outcome, "cause": cause}
    return REGISTRY.get_sample_value("security_events_total", labels) or 0


@asynccontextmanager
async def capped(identity_api: IdentityApi, **limits: int) -> AsyncIterator[httpx2.AsyncClient]:
    async with identity_api(**limits) as from_, from_("198.51.100.1") as http:
        yield http


async def lookups(page: LoginPage, citizen: Citizen, count: int) -> list[dict[str, Any]]:
    """The look-ups that the person sees, once there are `count`."""
    session = await page.logged_in(citizen)

    async def shown() -> list[dict[str, Any]]:
        items = (await session.call("GET", f"{WINDOW}/me/access-log")).raise_for_status().json()["items"]
        found = [item for item in items if item["what"] == "lookup"]
        return found if len(found) >= count else []

    return await eventually(shown, 20, f"{count} look-ups are shown")


async def test_a_person_who_is_found_sees_the_look_up(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window, login_page: LoginPage, hire: Hire
) -> None:
    citizen, curious, name = await window.enrolled(), await hire("clerk"), own_name("client")
    assert (await curious.call("POST", ONE, json=document(citizen))).status_code == 200
    answer = await gateway.post(MANY, json=documents(citizen, Citizen(), citizen), headers=client(issuer, name))
    assert [each["practitioner_id"] for each in answer.json()["items"]] == [citizen.id, None, citizen.id]
    found = [(entry["role"], entry["who"]) for entry in await lookups(login_page, citizen, 2)]
    assert sorted(found) == [("clerk", curious.tokens["staff_id"]), ("client", name)]


async def test_a_look_up_leaves_one_event_with_counts_and_no_document_number(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window, stack: RunningStack
) -> None:
    citizen, other, request = await window.registered(), Citizen(), own_id()
    headers = client(issuer) | {"X-Request-Id": request}
    assert (await gateway.post(MANY, json=documents(citizen, other), headers=headers)).status_code == 200
    event = await SecurityLog(stack, gateway).one(request)
    assert (event["event"], event["outcome"], event["cause"]) == ("people_lookup", "done", "usual")
    assert (event["asked"], event["found"]) == (2, 1)
    for secret in (*citizen.secrets, *other.secrets, citizen.id):
        assert secret not in str(event)


async def test_many_look_ups_of_a_clerk_raise_an_alarm_and_are_then_refused(
    identity_api: IdentityApi, issuer: TokenIssuer
) -> None:
    async with capped(identity_api, lookups_per_clerk_per_hour=10) as http:
        headers, before = clerk(issuer), counted("many")
        for _ in range(5):
            problem(await http.post(ONE, json=document(Citizen()), headers=headers), 404, "not_found")
        assert counted("many") == before
        some = documents(*(Citizen() for _ in range(4)))
        assert (await http.post(MANY, json=some, headers=headers)).status_code == 200
        assert counted("many") == before + 1
        refused = counted("limit_lookups", "throttled")
        retry_after_seconds(await http.post(MANY, json=some, headers=headers))
        assert counted("limit_lookups", "throttled") == refused + 1
        problem(await http.post(ONE, json=document(Citizen()), headers=headers), 404, "not_found")  # the tenth one
        retry_after_seconds(await http.post(ONE, json=document(Citizen()), headers=headers))
        problem(await http.post(ONE, json=document(Citizen()), headers=clerk(issuer)), 404, "not_found")


async def test_look_ups_of_a_clerk_are_limited_per_day(identity_api: IdentityApi, issuer: TokenIssuer) -> None:
    async with capped(identity_api, lookups_per_clerk_per_day=3) as http:
        headers = clerk(issuer)
        for _ in range(3):
            problem(await http.post(ONE, json=document(Citizen()), headers=headers), 404, "not_found")
        assert retry_after_seconds(await http.post(ONE, json=document(Citizen()), headers=headers)) > 3600


async def test_a_client_has_a_limit_and_records_has_its_own(identity_api: IdentityApi, issuer: TokenIssuer) -> None:
    async with capped(identity_api, lookups_per_client_per_hour=5) as http:
        headers, six = client(issuer), documents(*(Citizen() for _ in range(6)))
        retry_after_seconds(await http.post(MANY, json=six, headers=headers))
        assert (await http.post(MANY, json=documents(Citizen()), headers=headers)).status_code == 200
        assert (await http.post(MANY, json=six, headers=client(issuer, "records"))).status_code == 200


async def test_an_import_is_not_an_access_to_the_dossier(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window, login_page: LoginPage
) -> None:
    citizen = await window.enrolled()
    answer = await gateway.post(ONE, json=document(citizen), headers=client(issuer, "records"))
    assert answer.json() == {"practitioner_id": citizen.id}
    assert (await gateway.post(ONE, json=document(citizen), headers=client(issuer, "register"))).status_code == 200
    assert {entry["who"] for entry in await lookups(login_page, citizen, 1)} == {"register"}


@pytest.mark.parametrize("roles", [{"operator"}, set[str]()])
async def test_other_callers_cannot_look_people_up(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, roles: set[str]
) -> None:
    headers = bearer(issuer.issue(Caller(own_id(), "staff", frozenset(roles))))
    problem(await gateway.post(ONE, json=document(Citizen()), headers=headers), 403, "forbidden")
