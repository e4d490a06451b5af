"""Dates in a record: none before the year of birth, no employment of a child, for every caller."""

from typing import Any

import httpx2
import pytest
import pytest_asyncio

from kit.security.tokens import TokenIssuer
from tests.support.identity_clients import Window
from tests.support.people import EDUCATION, OWN, Person
from tests.support.waiting import eventually

WORK: dict[str, Any] = {
    "employer": "上海建工", "start": "2014-03-04", "end": None, "title": "工程师", "position": "经理", "field": "施工",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def born(window: Window, gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> tuple[Person, int]:
    """A registered person whom records knows, and the year of their birth."""
    citizen = await window.registered()
    person, year = Person(gateway, issuer, citizen.id), int(str(citizen.card["birth_date"])[:4])
    before = {"kind": "education", "data": EDUCATION | {"start": f"{year - 1}-12-31"}}

    async def heard() -> bool:
        return (await person.call("POST", f"{OWN}/check", json=before)).status_code == 422

    await eventually(heard, 20, "records knows the year")
    return person, year


def refused(answer: httpx2.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


async def test_no_day_is_before_the_year_of_birth(born: tuple[Person, int]) -> None:
    person, year = born
    answer = await person.create(EDUCATION | {"start": f"{year - 1}-12-31"})
    assert refused(answer) == {"data.start": "date_before_birth"}
    assert str(year) not in answer.text
    early = WORK | {"start": f"{year - 2}-01-01", "end": f"{year - 1}-01-01"}
    answer = await person.create(early, kind="work_experience")
    assert refused(answer) == {"data.start": "date_before_birth", "data.end": "date_before_birth"}


async def test_an_employment_starts_at_fourteen_at_the_earliest_and_all_errors_are_reported(
    born: tuple[Person, int],
) -> None:
    person, year = born
    child = WORK | {"start": f"{year + 13}-12-31", "end": "2099-01-01", "employer": ""}
    assert refused(await person.create(child, kind="work_experience")) == {
        "data.employer": "missing", "data.start": "date_too_young", "data.end": "date_in_future",
    }  # fmt: skip
    record = await person.created(WORK | {"start": f"{year + 14}-01-01"}, kind="work_experience")
    changed = await person.change(record["record_id"], 1, WORK | {"start": f"{year + 13}-12-31"})
    assert refused(changed) == {"data.start": "date_too_young"}
    assert (await person.get(record["record_id"])).json()["version"] == 1


@pytest.mark.parametrize("name", ["start", "end"])
async def test_an_employment_is_not_in_the_future(born: tuple[Person, int], name: str) -> None:
    answer = await born[0].create(WORK | {name: "2199-01-01"}, kind="work_experience")
    assert refused(answer) == {f"data.{name}": "date_in_future"}


async def test_without_a_known_birth_year_nothing_is_refused(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> None:
    stranger = Person(gateway, issuer)
    assert (await stranger.create(WORK | {"start": "1901-01-01"}, kind="work_experience")).status_code == 201
