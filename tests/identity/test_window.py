"""The window: a clerk registers people from their identity cards and issues digital certificates."""

import re
from typing import Any

import httpx2
import pytest

from deploy.local.people import random_phone, resident_id
from services.identity.practitioners.identity_documents import check_digit
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Staff, Window, at_once, just_now
from tests.support.names import own_id
from tests.support.problems import fields_of, problem

OLD_COUNTY, CHECK_X = "310225197806151231", "31010119900307006X"
BAD_NUMBERS = [
    "310101209903071232",  # born in the future
    "310101199002301233",  # 30 February
    "110001199003071238X",
    "310101199003071231",  # check digit
    "910101199003071230",
    "31010119900307123",
    "310101900307123",  # the old form of fifteen digits
    "31010119900307A06X",
    "310101185003071234",
    "abc",
    "",
]


def of_number(citizen: Citizen, number: str) -> dict[str, Any]:
    """The content of the card with this number."""
    sex = "male" if int(number[16]) % 2 else "female"
    return {"document_number": number, "sex": sex, "birth_date": f"{number[6:10]}-{number[10:12]}-{number[12:14]}"}


async def test_a_person_is_registered_from_their_card(window: Window) -> None:
    citizen = Citizen()
    response = await window.read_card(citizen)
    person = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"{WINDOW}/{person['practitioner_id']}"
    assert person | {"name": citizen.card["name"], "document_type": "resident_id", "version": 1} == person
    assert just_now(person["updated_at"])
    assert not any(secret in response.text for secret in citizen.secrets)


async def test_reading_a_card_again_makes_a_new_version_of_the_same_person(window: Window) -> None:
    citizen = await window.registered()
    again = await window.read_card(citizen, address="上海市静安区新址路2号", valid_to=None, long_term=True)
    assert again.status_code == 200
    assert (again.json()["practitioner_id"], again.json()["version"]) == (citizen.id, 2)


async def test_concurrent_readings_of_a_card_are_one_person(window: Window) -> None:
    citizen = Citizen()
    answers = await at_once(*(window.read_card(citizen) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["practitioner_id"] for answer in answers}) == 1


@pytest.mark.parametrize("number", [OLD_COUNTY, CHECK_X, "310101199003071230"])
async def test_every_possible_number_is_accepted(window: Window, number: str) -> None:
    citizen = Citizen()
    assert (await window.read_card(citizen, **of_number(citizen, number))).status_code in (200, 201)


async def test_an_unlisted_region_is_accepted(window: Window) -> None:
    citizen, first = Citizen(), "11000119900307123"
    number = first + check_digit(first)
    assert (await window.read_card(citizen, **of_number(citizen, number))).status_code in (200, 201)


async def test_a_number_is_recognised_in_every_typed_form(window: Window) -> None:
    citizen = Citizen()
    assert (await window.read_card(citizen, **of_number(citizen, CHECK_X))).status_code in (200, 201)
    for typed in (
        "31010119900307006x",
        "  31010119900307006X ",
        "310101 19900307 006x",
        "３１０１０１１９９００３０７００６ｘ",
    ):
        again = await window.read_card(citizen, **of_number(citizen, CHECK_X) | {"document_number": typed})
        assert again.status_code == 200, again.text


@pytest.mark.parametrize("number", BAD_NUMBERS)
async def test_an_impossible_number_is_not_registered(window: Window, number: str) -> None:
    body = problem(await window.read_card(Citizen(), document_number=number), 422, "invalid_fields", number)
    assert list(fields_of(body)) == ["document_number"]


async def test_the_card_must_match_its_number(window: Window) -> None:
    citizen = Citizen()
    other_sex = "female" if citizen.card["sex"] == "male" else "male"
    body = problem(await window.read_card(citizen, sex=other_sex), 422, "invalid_fields", *citizen.secrets)
    assert fields_of(body) == {"sex": "sex_mismatch"}
    body = problem(await window.read_card(citizen, birth_date="1950-01-01"), 422, "invalid_fields", "1950-01-01")
    assert fields_of(body) == {"birth_date": "birth_date_mismatch"}


@pytest.mark.parametrize("name", ["ethnicity", "address", "authority", "valid_from", "valid_to", "reader"])
async def test_every_field_that_a_card_reader_sends_is_accepted(window: Window, name: str) -> None:
    citizen = Citizen()
    assert fields_of(problem(await window.read_card(citizen, **{name: None}), 422, "invalid_fields")) == {
        name: "missing"
    }
    del citizen.card[name]
    assert list(fields_of(problem(await window.read_card(citizen), 422, "invalid_fields"))) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""), ("name", "\u202e王"), ("name", "王" * 101), ("sex", "other"), ("birth_date", "1990-3-7"),
        ("birth_date", 0), ("valid_from", 0), ("valid_to", "2019-01-01"), ("valid_to", "长期"), ("long_term", "maybe"),
        ("portrait", "bm90IGEganBlZw=="), ("portrait", "%%%"), ("document_type", "library_card"), ("source", "hearsay"),
        ("hobby", "围棋"), ("reader", {"device_id": ""}), ("address", "路" * 301), ("document_number", None),
    ],
)  # fmt: skip
async def test_an_invalid_field_of_a_card_is_named(window: Window, name: str, value: object) -> None:
    citizen = Citizen()
    body = problem(await window.read_card(citizen, **{name: value}), 422, "invalid_fields", *citizen.secrets)
    assert [field.split(".")[0] for field in fields_of(body)] == [name]
    assert "围棋" not in str(body)


@pytest.mark.parametrize("ethnicity", ["穿青人", "革家人", "外国血统"])
async def test_an_unlisted_ethnic_group_is_accepted(window: Window, ethnicity: str) -> None:
    assert (await window.read_card(Citizen(), ethnicity=ethnicity)).status_code == 201


async def test_a_certificate_is_issued_rebound_revoked_and_issued_again(window: Window) -> None:
    citizen, other_phone = await window.registered(), random_phone()
    issued = await window.issue(citizen)
    first = issued.json()
    assert (issued.status_code, first["state"]) == (201, "active")
    assert first["phone_hint"] == f"{citizen.phone[:3]}****{citizen.phone[-4:]}"
    assert re.fullmatch(r"SH\d{12}", first["certificate_no"])
    assert citizen.phone not in issued.text
    problem(await window.issue(citizen), 409, "certificate_active", citizen.phone)
    rebound = await window.rebind(citizen, other_phone)
    assert (rebound.status_code, rebound.json()["certificate_no"]) == (200, first["certificate_no"])
    assert rebound.json()["phone_hint"] == f"{other_phone[:3]}****{other_phone[-4:]}"
    assert (await window.revoke(citizen)).status_code == 204
    problem(await window.revoke(citizen), 404, "not_found")
    problem(await window.rebind(citizen, other_phone), 404, "not_found", other_phone)
    again = await window.issue(citizen)
    assert again.status_code == 201
    assert again.json()["certificate_no"] != first["certificate_no"]


async def test_of_many_concurrent_requests_one_certificate_is_issued(window: Window) -> None:
    citizen = await window.registered()
    answers = await at_once(*(window.issue(citizen) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_an_unknown_person_gets_no_certificate(window: Window) -> None:
    problem(await window.issue(Citizen(id=own_id())), 404, "not_found")


@pytest.mark.parametrize(
    "phone", ["12345678901", "1380000567", "138000056789", "+1 2125550100", "手机", "", "0211234567"]
)
async def test_only_a_mobile_phone_is_bound(window: Window, phone: str) -> None:
    citizen = await window.registered()
    problem(
        await window.clerk.call("POST", f"{WINDOW}/{citizen.id}/certificate", json={"phone": phone}),
        422,
        "invalid_fields",
    )


async def test_only_clerks_can_use_the_window(operator: Staff, window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", WINDOW, Citizen().card),
        ("POST", f"{WINDOW}/{citizen.id}/certificate", {"phone": citizen.phone}),
        ("PUT", f"{WINDOW}/{citizen.id}/certificate", {"phone": random_phone()}),
        ("DELETE", f"{WINDOW}/{citizen.id}/certificate", None),
        ("POST", f"{WINDOW}/lookup", {"document_type": "resident_id", "document_number": citizen.number}),
    ]
    for method, path, body in calls:
        for caller in (operator, session):
            problem(await caller.call(method, path, json=body), 403, "forbidden", *citizen.secrets)


async def test_every_call_requires_a_token(gateway: httpx2.AsyncClient) -> None:
    person = own_id()
    for method, path in (
        ("POST", WINDOW), ("POST", f"{WINDOW}/lookup"), ("GET", f"{WINDOW}/me"), ("GET", f"{WINDOW}/{person}"),
        ("GET", f"{WINDOW}/me/portrait"), ("POST", f"{WINDOW}/{person}/certificate"),
        ("PUT", f"{WINDOW}/{person}/certificate"), ("DELETE", f"{WINDOW}/{person}/certificate"),
        ("DELETE", "/api/identity/sessions/current"), ("GET", "/api/notify/messages"),
        ("GET", f"/api/notify/messages/{person}"),
    ):  # fmt: skip
        problem(await gateway.request(method, path), 401, "unauthorized")


async def test_a_person_born_today_can_be_registered_and_one_born_tomorrow_cannot(window: Window) -> None:
    from datetime import UTC, datetime, timedelta

    from kit.core.clock import shanghai_date

    today = shanghai_date(datetime.now(UTC))
    for day, expected in ((today, (200, 201)), (today + timedelta(days=1), (422,))):
        citizen = Citizen()
        card = of_number(citizen, resident_id("310101", day, 123))
        assert (await window.read_card(citizen, **card)).status_code in expected
