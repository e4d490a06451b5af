"""An admin imports a list of people: each is registered once, and data from a window takes precedence."""

from typing import Any

import httpx2
import pytest

from kit.security.tokens import TokenIssuer
from tests.support.identity_clients import WINDOW, Citizen, Window, bearer
from tests.support.imports import IDENTITY, Sender, as_csv, counts, person_row
from tests.support.names import own_id
from tests.support.problems import problem
from tests.support.stack import RunningStack
from tests.support.subscriber import Subscriber, version_of

REASON = {"X-Access-Reason": "import"}


@pytest.fixture
def admin(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Sender:
    return Sender(gateway, issuer, IDENTITY, own_id(), frozenset(), frozenset({"admin"}))


async def found(admin: Sender, number: str) -> dict[str, Any]:
    body = {"document_type": "resident_id", "document_number": number}
    response = await admin.http.post(f"{WINDOW}/lookup", json=body, headers=admin.headers)
    assert response.status_code == 200, response.text
    address = f"{WINDOW}/{response.json()['practitioner_id']}"
    return dict((await admin.http.get(address, headers=admin.headers | REASON)).raise_for_status().json())


async def test_people_in_an_import_are_registered_once(stack: RunningStack, admin: Sender) -> None:
    rows = [person_row(长期有效="是") for _ in range(3)]
    for row in rows:
        row["出生日期"] = row["出生日期"].replace("-0", "-").replace("-", "/")
    subscriber = Subscriber(stack.kafka, "identity.changes")
    await subscriber.skip()
    progress, errors = await admin.done("practitioners", as_csv(rows))
    assert (counts(progress), errors) == ({"created": 3}, [])
    person = await found(admin, rows[0]["证件号码"])
    assert (person["name"], person["address"], person["long_term"]) == (rows[0]["姓名"], rows[0]["住址"], True)
    progress, _ = await admin.done("practitioners", as_csv(rows, "gb18030"))
    assert counts(progress) == {"unchanged": 3}
    rows[0]["住址"] = "上海市徐汇区示例路2号"
    progress, _ = await admin.done("practitioners", as_csv(rows))
    assert counts(progress) == {"updated": 1, "unchanged": 2}
    changed = await found(admin, rows[0]["证件号码"])
    assert (changed["version"], changed["address"]) == (2, rows[0]["住址"])
    own = await subscriber.until(
        lambda records: (changed["practitioner_id"], 2) in [version_of(each) for each in records], 20, "the change"
    )
    assert len([each for each in own if version_of(each)[0] == changed["practitioner_id"]]) == 2


async def test_an_import_does_not_change_people_registered_at_a_window(admin: Sender, window: Window) -> None:
    row = person_row()
    citizen = await window.registered()
    progress, _ = await admin.done("practitioners", as_csv([row, person_row(证件号码=citizen.number) | own(citizen)]))
    assert counts(progress) == {"created": 1, "unchanged": 1}
    assert (await found(admin, citizen.number))["name"] == citizen.card["name"]
    card = {"document_number": row["证件号码"], "sex": "male" if row["性别"] == "男" else "female"}
    read = await window.read_card(Citizen(), **card, birth_date=row["出生日期"], name="新名")
    assert (read.status_code, read.json()["version"]) == (200, 2)
    progress, _ = await admin.done("practitioners", as_csv([row]))
    assert counts(progress) == {"unchanged": 1}
    assert (await found(admin, row["证件号码"]))["name"] == "新名"


def own(citizen: Citizen) -> dict[str, str]:
    sex = "男" if citizen.card["sex"] == "male" else "女"
    return {"姓名": "别的名字", "性别": sex, "出生日期": str(citizen.card["birth_date"])}


async def test_errors_are_reported_by_person(admin: Sender) -> None:
    row = person_row()
    rows = [
        row,
        row,
        person_row(证件号码="310101199003071231"),
        person_row(姓名="", 性别="不详"),
        person_row(证件类型="借书证"),
    ]
    progress, errors = await admin.done("practitioners", as_csv(rows))
    assert counts(progress) == {"created": 1, "failed": 4}
    assert [(error["行号"], error["列"], error["代码"]) for error in errors] == [
        ("3", "", "duplicate"),
        ("4", "证件号码", "document_number_invalid"),
        ("5", "姓名", "required"),
        ("5", "性别", "not_a_choice"),
        ("6", "证件类型", "not_a_choice"),
    ]
    assert "310101199003071231" not in str(errors)


async def test_only_admins_import_people(gateway: httpx2.AsyncClient, issuer: TokenIssuer, admin: Sender) -> None:
    everything = frozenset({"imports:write", "intake", "practitioners:lookup"})
    for unable in (
        Sender(gateway, issuer, IDENTITY, scopes=everything),
        Sender(gateway, issuer, IDENTITY, roles=frozenset({"clerk"})),
    ):
        problem(await unable.send("practitioners", as_csv([person_row()])), 403, "forbidden")
    problem(await admin.send("registration", b"x"), 404, "kind_not_imported")
    card = Citizen().card | {"source": "import"}
    problem(await gateway.post(WINDOW, json=card, headers=admin.headers), 422, "invalid_fields")


async def test_many_documents_are_looked_up_in_one_call(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window
) -> None:
    citizen, client = await window.registered(), Sender(gateway, issuer)
    asked = [{"document_type": "resident_id", "document_number": each} for each in (citizen.number, "1", "310")]
    response = await gateway.post(f"{WINDOW}/lookups", json={"documents": asked}, headers=client.headers)
    assert response.json()["items"] == [
        {"practitioner_id": citizen.id, "code": None},
        {"practitioner_id": None, "code": "not_found"},
        {"practitioner_id": None, "code": "not_found"},
    ]
    too_many = {"documents": asked[:1] * 1_001}
    problem(await gateway.post(f"{WINDOW}/lookups", json=too_many, headers=client.headers), 422, "invalid_fields")
    nobody = bearer(Sender(gateway, issuer, scopes=frozenset()).headers["Authorization"].split()[1])
    problem(await gateway.post(f"{WINDOW}/lookups", json={"documents": asked}, headers=nobody), 403, "forbidden")
