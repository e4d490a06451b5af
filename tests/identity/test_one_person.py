"""One person, one dossier: a new document of a registered person is recognised before anything is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from kit.core.clock import shanghai_date
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Staff, Window, at_once
from tests.support.identity_documents import (
    Papers,
    foreign_card,
    hk_macao_permit,
    military,
    passport,
    residence_permit,
    resident,
)
from tests.support.names import own_id
from tests.support.problems import fields_of, problem
from tests.support.waiting import eventually

CHECKS = f"{WINDOW}/checks"
SAID = ("name", "sex", "birth_date", "nationality")


def renewed(papers: Papers, made: Papers | None = None, **changes: object) -> Papers:
    """Another document of the same person."""
    return (made or passport()) | {name: papers[name] for name in SAID if papers.get(name)} | changes


async def check(window: Window, papers: Papers) -> dict[str, Any]:
    response = await window.clerk.call("POST", CHECKS, json=papers)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def ids(window: Window, papers: Papers) -> list[str]:
    return [each["practitioner_id"] for each in (await check(window, papers))["candidates"]]


async def register(window: Window, papers: Papers, **more: object) -> httpx2.Response:
    return await window.clerk.call("POST", WINDOW, json=papers | more)


async def registered(window: Window, papers: Papers) -> str:
    response = await register(window, papers)
    assert response.status_code == 201, response.text
    return str(response.json()["practitioner_id"])


async def found(window: Window, papers: Papers) -> object:
    """The person with this document, if any."""
    names = ("document_type", "document_number", "nationality")
    asked = {name: papers[name] for name in names if papers.get(name)}
    return (await window.clerk.call("POST", f"{WINDOW}/lookup", json=asked)).json().get("practitioner_id")


async def test_a_renewed_passport_continues_the_dossier_and_either_number_finds_it(
    window: Window, login_page: LoginPage
) -> None:
    old = passport()
    citizen = Citizen(old, id=await registered(window, old))
    await window.issue(citizen)
    new = renewed(old)
    checked = await check(window, new)
    [candidate] = checked["candidates"]
    assert (checked["known"], checked["warnings"]) == (None, [])
    number = str(old["document_number"])
    assert candidate.pop("registered_at")
    assert candidate == {
        "practitioner_id": citizen.id, "name": old["name"], "birth_date": old["birth_date"],
        "document_type": "passport", "document_hint": f"{number[:2]}*****{number[-2:]}",
    }  # fmt: skip
    assert await found(window, new) is None, "a check changes nothing"
    done = await register(window, new, same_as=citizen.id)
    assert (done.status_code, done.json()["practitioner_id"], done.json()["version"]) == (200, citizen.id, 2)
    assert [await found(window, papers) for papers in (old, new)] == [citizen.id, citizen.id]
    assert (await check(window, new))["known"] == citizen.id
    seen = (await (await login_page.logged_in(citizen)).call("GET", f"{WINDOW}/me")).json()
    assert (seen["document_number"], seen["former_numbers"]) == (new["document_number"], [number])
    await login_page.forget_limits(citizen)
    assert (await login_page.ask(citizen, document_number=str(new["document_number"]))).status_code == 202


@pytest.mark.parametrize(
    ("old", "new"),
    [(passport("USA"), foreign_card()), (military(), resident()), (hk_macao_permit(), residence_permit())],
    ids=["passport and card", "military and resident", "permits"],
)
async def test_a_person_with_two_document_types_is_found_by_both(window: Window, old: Papers, new: Papers) -> None:
    old = renewed(new, old, nationality=old.get("nationality"))
    person = await registered(window, old)
    assert await ids(window, new) == [person]
    assert (await register(window, new, same_as=person)).status_code == 200
    assert [await found(window, papers) for papers in (old, new)] == [person, person]


@pytest.mark.parametrize("made", [resident, residence_permit, foreign_card, hk_macao_permit])
async def test_two_lifelong_numbers_are_two_people(window: Window, made: Any) -> None:
    one = made()
    birth, other = str(one["birth_date"]).replace("-", ""), made()
    while other["birth_date"] != one["birth_date"] or other["document_number"] == one["document_number"]:
        other = renewed(one, made()) if made is hk_macao_permit else born_then(one, birth)
    person = await registered(window, one)
    checked = await check(window, other)
    assert (checked["known"], checked["candidates"]) == (None, [])
    problem(await register(window, other, same_as=person), 409, "different_person", str(one["document_number"]))
    assert (await register(window, other)).status_code == 201


def born_then(papers: Papers, birth: str) -> Papers:
    """A person of the same name and birth date, with the next sequence number."""
    from services.identity.practitioners.identity_documents import check_digit

    number = str(papers["document_number"])
    first = f"{number[:6]}{birth}{(int(number[14:17]) + 2) % 1000:03d}"
    return papers | {"document_number": first + check_digit(first)}


@pytest.mark.parametrize(
    ("on_file", "comes"),
    [
        ({"name": "阿卜杜拉·买买提"}, {"name": "阿卜杜拉 买买提"}),
        ({"name": "SMITH JOHN"}, {"name": "John Smith"}),
        ({"name": "José Núñez"}, {"name": "JOSE\u0301 NU\u0301N\u0303EZ"}),
        ({"name": "Smith, John"}, {"name": "史密斯", "name_latin": "JOHN SMITH"}),
    ],
)
async def test_a_name_is_normalised_before_comparison(window: Window, on_file: Papers, comes: Papers) -> None:
    old = passport() | on_file
    person = await registered(window, old)
    assert await ids(window, renewed(old) | comes) == [person]
    stranger = renewed(old, name="MARTIN CLAUDE")
    assert await ids(window, stranger) == []


async def test_a_document_of_another_person_is_refused_and_nothing_changes(window: Window) -> None:
    old, other = passport(), passport()
    person, somebody = await registered(window, old), await registered(window, other)
    before = await file_of(window, person)
    stranger = passport() | {"name": "MARTIN CLAUDE", "birth_date": "1950-01-01"}
    for papers in (stranger, other):
        for path in (WINDOW, CHECKS):
            answer = await window.clerk.call("POST", path, json=papers | {"same_as": person})
            problem(answer, 409, "different_person", str(old["document_number"]))
    unknown = await register(window, renewed(old), same_as=own_id())
    assert fields_of(problem(unknown, 422, "invalid_fields")) == {"same_as": "unknown_person"}
    assert await file_of(window, person) == before
    assert (await register(window, other, same_as=somebody)).status_code == 200


async def test_a_former_number_of_another_person_overwrites_nothing(window: Window) -> None:
    old = passport()
    person = await registered(window, old)
    new = renewed(old, former_number=old["document_number"])
    wrong = new | {"name": "MARTIN CLAUDE", "birth_date": "1950-01-01"}
    problem(await register(window, wrong), 409, "different_person", str(old["document_number"]))
    married = await register(window, new | {"name": "DURAND CLAIRE"})
    assert (married.status_code, married.json()["practitioner_id"]) == (200, person)


async def test_a_client_that_skips_the_check_registers_and_gets_the_candidates(window: Window) -> None:
    old = passport()
    assert (await register(window, old)).json()["possible_duplicates"] == 0
    second = await register(window, renewed(old))
    assert (second.status_code, second.json()["possible_duplicates"]) == (201, 1)
    again = await register(window, old)
    assert (again.status_code, again.json()["possible_duplicates"]) == (200, 0)


async def test_concurrent_registrations_of_one_document_are_one_person(window: Window) -> None:
    old = passport()
    person, new = await registered(window, old), renewed(old)
    answers = await at_once(*(register(window, new, same_as=person) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert {answer.json()["practitioner_id"] for answer in answers} == {person}


@pytest.mark.parametrize(
    ("days", "long_term", "codes"),
    [(-1, False, ["document_expired"]), (0, False, []), (None, True, []), (None, False, [])],
)
async def test_an_expired_document_is_reported_and_can_be_registered(
    window: Window, days: int | None, long_term: bool, codes: list[str]
) -> None:
    today = shanghai_date(datetime.now(UTC))
    until = None if days is None else (today + timedelta(days=days)).isoformat()
    papers = passport() | {"valid_from": "2012-03-01", "valid_to": until, "long_term": long_term}
    assert [each["code"] for each in (await check(window, papers))["warnings"]] == codes
    assert (await register(window, papers)).status_code == 201


async def test_a_candidate_sees_the_check_in_the_access_log(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    assert await ids(window, renewed(citizen.card, military())) == [citizen.id]

    async def access_entries() -> list[dict[str, Any]]:
        entries = (await session.call("GET", f"{WINDOW}/me/access-log")).json()["items"]
        return [entry for entry in entries if entry["what"] == "registration"]

    [entry] = await eventually(access_entries, 20, "the registration check is in the access log")
    assert (entry["role"], entry["reason"]) == ("clerk", "登记时核对是否已有档案")


async def test_only_callers_who_register_can_check(
    window: Window, operator: Staff, gateway: httpx2.AsyncClient
) -> None:
    problem(await operator.call("POST", CHECKS, json=passport()), 403, "forbidden")
    problem(await gateway.post(CHECKS, json=passport()), 401, "unauthorized")
    wrong = await window.clerk.call("POST", CHECKS, json=passport() | {"birth_date": "2999-01-01"})
    assert fields_of(problem(wrong, 422, "invalid_fields")) == {"birth_date": "birth_date_future"}


async def file_of(window: Window, person: str) -> dict[str, Any]:
    answer = await window.clerk.call("GET", f"{WINDOW}/{person}", headers={"X-Access-Reason": "test"})
    return dict(answer.raise_for_status().json())
