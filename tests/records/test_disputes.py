"""A person disputes a record that a source keeps; a clerk closes the dispute with a reason."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from contracts.records import Source
from kit import mongo
from kit.core.clock import SystemClock, rfc3339
from kit.security.tokens import Caller, TokenIssuer
from services.records.disputes.service import MAX_OPEN
from services.records.store import Records
from tests.records.test_kinds import CREDIT, PROJECT
from tests.support.identity_clients import LoginPage, Window, at_once, bearer, just_now
from tests.support.names import own_id, own_name
from tests.support.people import Person
from tests.support.portal import import_record
from tests.support.problems import fields_of, problem
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

API = "/api/records"
OWN = f"{API}/practitioners/me/disputes"
WRONG = "决定日期应为 2014 年 2 月 10 日"
WHY = "核实异议"
CLOSING = {"outcome": "corrected", "reason": "来源单位已更正决定日期"}


@dataclass
class Clerk:
    """Calls of a member of staff who gives an access reason."""

    http: httpx2.AsyncClient
    issuer: TokenIssuer
    role: str = "clerk"
    id: str = field(default_factory=own_id)

    async def call(self, method: str, path: str, why: str = WHY, **request: Any) -> httpx2.Response:
        token = bearer(self.issuer.issue(Caller(self.id, "staff", frozenset({self.role}))))
        headers = token | ({"X-Access-Reason": quote(why)} if why else {})
        return await self.http.request(method, f"{API}{path}", headers=headers, **request)

    async def close(self, dispute_id: str, **changes: str) -> httpx2.Response:
        return await self.call("POST", f"/disputes/{dispute_id}/close", json=CLOSING | changes)

    async def waiting(self) -> list[dict[str, Any]]:
        """All open disputes, over all pages."""
        found: list[dict[str, Any]] = []
        query = {"state": "open", "limit": "200"}
        while True:
            page = (await self.call("GET", "/disputes", params=query)).raise_for_status().json()
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]


@pytest.fixture
def office(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Clerk:
    return Clerk(gateway, issuer)


async def send(person: Person, record: str, text: str = WRONG, key: str | None = None) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await person.call("POST", f"{API}/records/{record}/disputes", json={"text": text}, headers=headers)


async def opened(person: Person, record: str, text: str = WRONG) -> dict[str, Any]:
    response = await send(person, record, text)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def own(person: Person) -> list[dict[str, Any]]:
    return list((await person.call("GET", OWN)).raise_for_status().json()["items"])


async def correct(stack: RunningStack, record_id: str) -> None:
    """The source sends the record with other data."""
    now = SystemClock().now()
    async with mongo.connect(stack.mongo, "records") as database:
        records = Records(database)
        record = await records.get(record_id)
        assert record
        source = Source(system="诚信系统", key=own_id(), synced_at=rfc3339(now))
        await records.replace(record.synced(CREDIT | {"subject": "更正"}, source, None, at=now, by="import:test"))


async def test_a_dispute_is_open_until_a_clerk_closes_it_with_a_reason(
    stack: RunningStack, person: Person, office: Clerk
) -> None:
    record = await import_record(stack, person.id, "credit", CREDIT)
    dispute = await opened(person, record)
    assert dispute | {"practitioner_id": person.id, "record_id": record, "kind": "credit"} == dispute
    assert dispute | {"text": WRONG, "state": "open", "record_version": 1, "outcome": None} == dispute
    assert just_now(dispute["opened_at"])
    assert await own(person) == [dispute]
    response = await office.close(dispute["dispute_id"])
    assert response.status_code == 200, response.text
    [closed] = await own(person)
    assert closed == response.json()
    assert closed | CLOSING | {"state": "closed", "closed_by": f"staff:{office.id}"} == closed
    assert just_now(closed["closed_at"])


async def test_a_record_has_one_open_dispute_and_another_after_it_was_closed(
    stack: RunningStack, person: Person, office: Clerk
) -> None:
    record = await import_record(stack, person.id, "credit", CREDIT)
    answers = await at_once(*(send(person, record, f"{WRONG}{number}") for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 4]
    problem(await send(person, record), 409, "dispute_open", WRONG)
    [dispute] = await own(person)
    assert (await office.close(dispute["dispute_id"], outcome="not_corrected")).status_code == 200
    again = await opened(person, record)
    assert [each["state"] for each in await own(person)] == ["open", "closed"]
    assert again["dispute_id"] != dispute["dispute_id"]


async def test_a_repeated_request_opens_no_second_dispute(stack: RunningStack, person: Person, office: Clerk) -> None:
    record, key = await import_record(stack, person.id, "credit", CREDIT), own_id()
    answers = await at_once(*(send(person, record, key=key) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    [dispute] = await own(person)
    assert {answer.json()["dispute_id"] for answer in answers} == {dispute["dispute_id"]}
    problem(await send(person, record, "另一句话", key), 409, "idempotency_conflict", key)
    await office.close(dispute["dispute_id"])
    late = await send(person, record, key=key)
    assert (late.status_code, late.json()["state"]) == (201, "closed")
    assert len(await own(person)) == 1


async def test_only_ones_own_records_of_a_source_are_disputed(
    stack: RunningStack, person: Person, new_person: Callable[[], Person], office: Clerk
) -> None:
    record = await import_record(stack, person.id, "project", PROJECT)
    problem(await send(new_person(), record), 404, "not_found", WRONG)
    problem(await send(person, own_id()), 404, "not_found", WRONG)
    problem(await office.call("POST", f"/records/{record}/disputes", json={"text": WRONG}), 404, "not_found", WRONG)
    mine = (await person.created())["record_id"]
    problem(await send(person, mine), 409, "not_kept_by_source", WRONG)
    assert await own(person) == []


@pytest.mark.parametrize("text", ["", " \n", "x" * 501, "a\x00"])
async def test_the_text_of_a_dispute_is_validated(stack: RunningStack, person: Person, text: str) -> None:
    record = await import_record(stack, person.id, "credit", CREDIT)
    assert list(fields_of(problem(await send(person, record, text), 422, "invalid_fields"))) == ["text"]
    assert await own(person) == []


async def test_a_person_has_a_limited_number_of_open_disputes(
    stack: RunningStack, person: Person, office: Clerk
) -> None:
    records = [await import_record(stack, person.id, "credit", CREDIT) for _ in range(MAX_OPEN + 1)]
    disputes = [await opened(person, record) for record in records[:MAX_OPEN]]
    problem(await send(person, records[MAX_OPEN]), 409, "too_many_disputes", WRONG)
    await office.close(disputes[0]["dispute_id"])
    await opened(person, records[MAX_OPEN])


async def test_of_two_clerks_one_closes_a_dispute(
    stack: RunningStack, person: Person, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    dispute = await opened(person, await import_record(stack, person.id, "credit", CREDIT))
    clerks = [Clerk(gateway, issuer, "admin" if number else "clerk") for number in range(4)]
    answers = await at_once(*(each.close(dispute["dispute_id"], reason=each.id) for each in clerks))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 3]
    [winner] = [each for each, answer in zip(clerks, answers, strict=True) if answer.status_code == 200]
    [closed] = await own(person)
    assert (closed["reason"], closed["closed_by"]) == (winner.id, f"staff:{winner.id}")
    problem(await clerks[0].close(dispute["dispute_id"]), 409, "dispute_closed")


@pytest.mark.parametrize("wrong", [{"outcome": "perhaps"}, {"outcome": ""}, {"reason": " "}, {"reason": "x" * 501}])
async def test_closing_needs_an_outcome_and_a_reason(
    stack: RunningStack, person: Person, office: Clerk, wrong: dict[str, str]
) -> None:
    dispute = await opened(person, await import_record(stack, person.id, "credit", CREDIT))
    refused = problem(await office.close(dispute["dispute_id"], **wrong), 422, "invalid_fields")
    assert list(fields_of(refused)) == list(wrong)
    assert (await own(person))[0]["state"] == "open"


async def test_clerks_see_open_disputes_oldest_first_page_by_page(
    stack: RunningStack, person: Person, office: Clerk
) -> None:
    records = [await import_record(stack, person.id, "credit", CREDIT) for _ in range(3)]
    disputes = [await opened(person, record, own_name("有误")) for record in records]
    await office.close(disputes[1]["dispute_id"])
    found = await office.waiting()
    assert [each for each in found if each["practitioner_id"] == person.id] == [disputes[0], disputes[2]]
    times = [each["opened_at"] for each in found]
    assert times == sorted(times)
    paged: list[str] = []
    query = {"limit": "7"}
    while len(paged) < len(found):
        page = (await office.call("GET", "/disputes", params=query)).json()
        paged += [each["dispute_id"] for each in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert paged == [each["dispute_id"] for each in found]
    closed = await office.call("GET", "/disputes", params={"state": "closed"})
    assert fields_of(problem(closed, 422, "invalid_fields")) == {"state": "not_a_choice"}


async def test_a_clerk_sees_that_the_source_changed_the_record_since(
    stack: RunningStack, person: Person, office: Clerk
) -> None:
    record = await import_record(stack, person.id, "credit", CREDIT)
    await opened(person, record)
    await correct(stack, record)
    [dispute] = (await office.call("GET", f"/practitioners/{person.id}/disputes")).json()["items"]
    current = (await office.call("GET", f"/records/{record}")).json()
    assert (dispute["record_version"], current["version"]) == (1, 2)


async def test_only_clerks_list_and_close_disputes(
    stack: RunningStack, person: Person, new_person: Callable[[], Person], gateway: httpx2.AsyncClient,
    issuer: TokenIssuer,
) -> None:  # fmt: skip
    dispute = (await opened(person, await import_record(stack, person.id, "credit", CREDIT)))["dispute_id"]
    operator = Clerk(gateway, issuer, "operator")
    problem(await operator.call("GET", "/disputes"), 403, "forbidden")
    problem(await operator.close(dispute), 403, "forbidden")
    problem(await operator.call("GET", f"/practitioners/{person.id}/disputes"), 404, "not_found")
    for each in (person, new_person()):
        problem(await each.call("GET", f"{API}/disputes"), 403, "forbidden")
        problem(await each.call("POST", f"{API}/disputes/{dispute}/close", json=CLOSING), 403, "forbidden")
    problem(await new_person().call("GET", f"{API}/practitioners/{person.id}/disputes"), 404, "not_found")
    problem(await Clerk(gateway, issuer).close(own_id()), 404, "not_found")


async def test_reading_a_persons_disputes_needs_a_reason(person: Person, office: Clerk) -> None:
    refused = problem(await office.call("GET", f"/practitioners/{person.id}/disputes", why=""), 422, "invalid_fields")
    assert fields_of(refused) == {"X-Access-Reason": "reason_required"}


async def test_the_person_sees_who_read_and_closed_their_dispute(
    stack: RunningStack, window: Window, login_page: LoginPage, office: Clerk, gateway: httpx2.AsyncClient,
    issuer: TokenIssuer,
) -> None:  # fmt: skip
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    dispute = await opened(
        Person(gateway, issuer, citizen.id), await import_record(stack, citizen.id, "credit", CREDIT)
    )
    await office.call("GET", f"/practitioners/{citizen.id}/disputes")
    await office.close(dispute["dispute_id"])

    async def shown() -> bool:
        entries = (await session.call("GET", "/api/identity/practitioners/me/access-log")).json()["items"]
        mine = [(each["what"], each["reason"]) for each in entries if each["who"] == office.id]
        return mine == [("dispute_closed", WHY), ("disputes", WHY)]

    await eventually(shown, 20, "both accesses are shown")
