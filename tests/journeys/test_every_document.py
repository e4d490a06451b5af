"""Every type of identity document: from the window to the log-in, and after a renewal."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Window
from tests.support.identity_documents import (
    PAPERS,
    Papers,
    foreign_card,
    hk_macao_permit,
    military,
    old_foreign_card,
    passport,
    resident,
    taiwan_permit,
)
from tests.support.problems import fields_of, problem
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber

ME = f"{WINDOW}/me"
LONG_NAME = "阿\U00020bb7卜杜拉·买买提\U0002b38e" * 5 + "·" + "㐀\U00030000" * 2


async def registered(window: Window, papers: Papers) -> Citizen:
    citizen = Citizen(papers)
    response = await window.read_card(citizen)
    assert response.status_code == 201, response.text
    citizen.id = response.json()["practitioner_id"]
    return citizen


async def enrolled(window: Window, papers: Papers) -> Citizen:
    citizen = await registered(window, papers)
    assert (await window.issue(citizen)).status_code == 201
    return citizen


@pytest.mark.parametrize("papers", PAPERS.values(), ids=PAPERS)
async def test_from_the_window_to_the_login(
    window: Window, login_page: LoginPage, papers: Callable[[], Papers]
) -> None:
    citizen = await enrolled(window, papers())
    session = await login_page.logged_in(citizen)
    seen = (await session.call("GET", ME)).raise_for_status().json()
    for name in (
        "document_type",
        "document_number",
        "name",
        "sex",
        "birth_date",
        "ethnicity",
        "nationality",
        "address",
    ):
        assert seen[name] == citizen.card.get(name), name


async def test_a_renewed_permit_logs_in_by_either_number(window: Window, login_page: LoginPage) -> None:
    for papers in (hk_macao_permit(), taiwan_permit()):
        citizen = await enrolled(window, papers)
        first = str(papers["document_number"])
        renewed = f"{first}02"
        again = await window.read_card(citizen, document_number=renewed, valid_to="2041-03-01")
        assert (again.status_code, again.json()["practitioner_id"]) == (200, citizen.id)
        citizen.card["document_number"] = renewed
        session = await login_page.logged_in(citizen)
        seen = (await session.call("GET", ME)).json()
        assert (seen["document_number"], seen["former_numbers"]) == (renewed, [first])
        await login_page.forget_limits(citizen)
        assert (await login_page.ask(citizen, document_number=renewed[:-2])).status_code == 202


async def test_the_new_card_of_a_foreigner_is_the_same_person(window: Window, login_page: LoginPage) -> None:
    citizen = await enrolled(window, old_foreign_card())
    old, new = citizen.number, foreign_card()
    again = await window.read_card(Citizen(new), former_number=old)
    assert (again.status_code, again.json()["practitioner_id"]) == (200, citizen.id)
    session = await login_page.logged_in(citizen)  # by the old number, which is also printed on the new card
    seen = (await session.call("GET", ME)).json()
    assert (seen["document_number"], seen["former_numbers"]) == (new["document_number"], [old])
    assert (await window.read_card(Citizen(new))).status_code == 200


async def test_a_person_registered_with_the_new_card_is_found_by_the_old_one(window: Window) -> None:
    old, new = old_foreign_card(), foreign_card()
    citizen = await registered(window, new | {"former_number": old["document_number"]})
    again = await window.read_card(Citizen(old))
    assert (again.status_code, again.json()["practitioner_id"]) == (200, citizen.id)


async def test_a_former_number_added_later_is_kept(window: Window, login_page: LoginPage) -> None:
    new, old = foreign_card(), old_foreign_card()["document_number"]
    citizen = await enrolled(window, new)
    assert (await window.read_card(citizen, former_number=old)).status_code == 200
    assert (await window.read_card(citizen, former_number=new["document_number"])).status_code == 200
    session = await login_page.logged_in(citizen)
    seen = (await session.call("GET", ME)).json()
    assert (seen["document_number"], seen["former_numbers"]) == (new["document_number"], [old])


async def test_a_former_number_does_not_merge_two_people(window: Window) -> None:
    one, other = await registered(window, passport()), await registered(window, passport())
    refused = await window.read_card(one, former_number=other.number)
    problem(refused, 409, "document_conflict", one.number, other.number)


async def test_the_same_passport_number_of_two_countries_is_two_people(window: Window, login_page: LoginPage) -> None:
    papers = passport("FRA")
    french, german = await enrolled(window, papers), await enrolled(window, papers | {"nationality": "D"})
    assert french.id != german.id
    session = await login_page.logged_in(german)
    assert (await session.call("GET", ME)).json()["practitioner_id"] == german.id
    asked: dict[str, Any] = {"document_type": "passport", "document_number": german.number}
    problem(await window.clerk.call("POST", f"{WINDOW}/lookup", json=asked), 409, "document_ambiguous", german.number)
    found = await window.clerk.call("POST", f"{WINDOW}/lookup", json=asked | {"nationality": "D"})
    assert found.json() == {"practitioner_id": german.id}


@pytest.mark.parametrize(
    ("papers", "changes", "wrong"),
    [
        (resident, {"source": "manual"}, {"document_type": "card_reader_required"}),
        (passport, {"source": "card_reader"}, {"document_type": "not_readable", "reader": "missing"}),
        (passport, {"nationality": None}, {"nationality": "country_code"}),
        (passport, {"nationality": "France"}, {"nationality": "country_code"}),
        (foreign_card, {"name_latin": None}, {"name_latin": "missing"}),
        (foreign_card, {"nationality": None}, {"nationality": "missing"}),
        (foreign_card, {"former_number": "USA310181050116"}, {"former_number": "document_number_invalid"}),
        (hk_macao_permit, {"document_number": "A12345678"}, {"document_number": "document_number_invalid"}),
        (military, {"birth_date": "2999-01-01"}, {"birth_date": "birth_date_future"}),
    ],
)
async def test_what_a_window_cannot_register(
    window: Window, papers: Callable[[], Papers], changes: Papers, wrong: dict[str, str]
) -> None:
    body = problem(await window.read_card(Citizen(papers()), **changes), 422, "invalid_fields")
    found = fields_of(body)
    assert wrong.items() <= found.items() or {"document_type"} == set(found) & set(wrong), body


async def test_a_long_and_rare_name_is_the_same_from_the_card_to_the_event(
    stack: RunningStack, window: Window, login_page: LoginPage
) -> None:
    subscriber = Subscriber(stack.kafka, "identity.changes")
    await subscriber.skip()
    assert len(LONG_NAME) >= 50
    citizen = await enrolled(window, resident() | {"name": LONG_NAME})

    def mine(records: Records) -> list[Any]:
        events = [orjson.loads(record.value) for record in records]
        return [event for event in events if event["practitioner_id"] == citizen.id and "name" in event]

    records = await subscriber.until(lambda found: bool(mine(found)), 20, "the person's event is published")
    assert mine(records)[0]["name"] == LONG_NAME
    session = await login_page.logged_in(citizen)
    assert (await session.call("GET", ME)).json()["name"] == LONG_NAME
