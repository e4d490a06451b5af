"""A register sends files of rows, which become records: once, despite repetition and kills."""

import asyncio
import re
from datetime import date
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import httpx2
import pytest
import pytest_asyncio
from openpyxl import Workbook, load_workbook

from deploy.local.people import random_card
from kit import mongo
from kit.files import blobs
from kit.security.tokens import TokenIssuer
from tests.support.identity_clients import Citizen, Window
from tests.support.imports import IDENTITY, REGISTRATION, Sender, as_csv, as_xlsx, counts, person_row, registration
from tests.support.names import own_id, own_name
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.processes import Processes
from tests.support.scale import scaled
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, attend
from tests.support.subscriber import Subscriber, version_of
from tests.support.waiting import eventually

ROWS = scaled(50_000, 5_000)
PEOPLE = 50


@pytest.fixture
def sender(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> Sender:
    return Sender(gateway, issuer)


@pytest_asyncio.fixture(loop_scope="session")
async def citizen(window: Window) -> Citizen:
    return await window.registered()


async def records_of(gateway: httpx2.AsyncClient, issuer: TokenIssuer, citizen: Citizen) -> list[dict[str, Any]]:
    response = await Person(gateway, issuer, citizen.id).list(kind="registration", limit="200")
    assert response.status_code == 200, response.text
    return list(response.json()["items"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_a_row_becomes_a_record_with_its_source(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, sender: Sender, citizen: Citizen, encoding: str
) -> None:
    row = registration(citizen.number, own_name("k"), 所在企业名称="上海𠮷建集团")
    progress, errors = await sender.done("registration", as_csv([row], encoding))
    assert (progress["state"], counts(progress), errors) == ("finished", {"created": 1}, [])
    [record] = await records_of(gateway, issuer, citizen)
    assert record["data"]["specialities"] == ["建筑工程", "市政公用工程"]
    assert (record["data"]["employer"], record["data"]["issued_on"]) == ("上海𠮷建集团", "2014-03-01")
    assert (record["source"]["system"], record["source"]["key"]) == ("注册系统", row["来源编号"])
    assert record["source"]["synced_at"].startswith(record["created_at"][:19])


async def test_a_workbook_can_have_dates_and_numbers(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, sender: Sender, citizen: Citizen
) -> None:
    key = own_name("k")
    line = ["居民身份证", citizen.number, "注册系统", key, "一级注册建造师", 20140301, None, date(2014, 3, 1)]
    progress, errors = await sender.done("registration", as_xlsx([REGISTRATION, [], line]))
    assert (counts(progress), errors) == ({"created": 1}, [])
    [record] = await records_of(gateway, issuer, citizen)
    assert (record["data"]["certificate_no"], record["data"]["issued_on"]) == ("20140301", "2014-03-01")


async def test_only_kinds_maintained_by_a_register_are_imported(sender: Sender, citizen: Citizen) -> None:
    common = {"证件类型": "身份证", "证件号码": citizen.number, "来源": "报建系统", "来源编号": own_name("k")}
    project = {"报建编号": "2401XX0001", "项目名称": "某大厦", "合同类型": "施工总包", "担任职务": "项目经理"}
    progress, errors = await sender.done("project", as_csv([common | project | {"专业名称": "建筑工程"}]))
    assert (counts(progress), errors) == ({"created": 1}, [])
    credit = {"诚信性质": "良好", "事由": "优秀项目经理", "认定部门": "市住建委", "决定日期": "2024/3/1"}
    progress, errors = await sender.done("credit", as_csv([common | credit]))
    assert (counts(progress), errors) == ({"created": 1}, [])
    for kind in ("education", "nothing"):
        problem(await sender.send(kind, as_csv([common])), 404, "kind_not_imported")


async def test_the_persons_page_shows_the_source_and_time_of_a_record(
    sender: Sender, citizen: Citizen, desk_of: Desk
) -> None:
    await sender.done("registration", as_csv([registration(citizen.number, "k", 来源=own_name("注册系统"))]))
    browsing = await desk_of("clerk")
    await attend(browsing, citizen.id)
    text = (await browsing.get(f"/staff/people/{citizen.id}/file/registration")).text
    assert re.search(r"注册系统-[0-9a-f]+<span class=.why.>\d{4}-\d\d-\d\d \d\d:\d\d<", text), text


async def test_errors_are_reported_by_line_column_and_message(sender: Sender, citizen: Citizen) -> None:
    unknown, known = str(random_card()["document_number"]), citizen.number
    rows = [
        registration(known, "a"),
        registration(known, "b", 注册类别="宇航员", 发证日期="2014-02-30"),
        registration(unknown, "c"),
        registration(known, "a"),
        registration(known, "", 证件类型="借书证"),
        registration(known, "f", 证件号码=""),
    ]
    own = own_name("=cmd")
    progress, errors = await sender.done("registration", as_csv([row | {"来源": own} for row in rows]))
    assert counts(progress) == {"created": 1, "failed": 5}
    assert [(error["行号"], error["列"], error["代码"]) for error in errors] == [
        ("3", "注册类别", "unknown_term"),
        ("3", "发证日期", "date_invalid"),
        ("4", "证件号码", "not_found"),
        ("5", "", "duplicate"),
        ("6", "来源编号", "required"),
        ("6", "证件类型", "not_a_choice"),
        ("7", "证件号码", "required"),
    ]
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in error["说明"]) for error in errors)
    told = str(errors)
    assert not [secret for secret in (unknown, known, "宇航员") if secret in told]


async def test_a_number_truncated_by_a_spreadsheet_is_refused(sender: Sender) -> None:
    line = ["身份证", 310101199003071230, "注册系统", own_name("k"), "一级注册建造师", "1", None, None]
    _, errors = await sender.done("registration", as_xlsx([REGISTRATION, line]))
    assert [(error["行号"], error["列"], error["代码"]) for error in errors] == [("2", "证件号码", "digits_lost")]


async def test_the_same_file_again_changes_nothing_and_a_changed_one_only_what_changed(
    stack: RunningStack, gateway: httpx2.AsyncClient, issuer: TokenIssuer, sender: Sender, citizen: Citizen
) -> None:
    rows = [registration(citizen.number, own_name("k")) for _ in range(5)]
    subscriber = Subscriber(stack.kafka, "records.changes")
    await subscriber.skip()
    progress, _ = await sender.done("registration", as_csv(rows))
    assert counts(progress) == {"created": 5}
    progress, _ = await sender.done("registration", as_csv(rows, "gb18030"))
    assert counts(progress) == {"unchanged": 5}
    rows[2] |= {"注册专业": "机电工程"}
    progress, _ = await sender.done("registration", as_csv(rows))
    assert counts(progress) == {"updated": 1, "unchanged": 4}
    records = await records_of(gateway, issuer, citizen)
    assert sorted(record["version"] for record in records) == [1, 1, 1, 1, 2]
    [changed] = [record for record in records if record["version"] == 2]
    assert (changed["data"]["specialities"], changed["source"]["key"]) == (["机电工程"], rows[2]["来源编号"])
    history = (await Person(gateway, issuer, citizen.id).history(changed["record_id"])).json()["items"]
    assert [change["field"] for change in history[1]["changes"]] == ["specialities", "source"]
    expected = {(record["record_id"], version + 1) for record in records for version in range(record["version"])}
    told = await subscriber.until(
        lambda found: {version_of(each) for each in found} >= expected, 20, "the events of all rows"
    )
    own = [version_of(each) for each in told if version_of(each)[0] in {record["record_id"] for record in records}]
    assert (set(own), len(own)) == (expected, 6)


async def test_a_record_does_not_move_to_another_person(sender: Sender, window: Window, citizen: Citizen) -> None:
    other, key = await window.registered(), own_name("k")
    await sender.done("registration", as_csv([registration(citizen.number, key)]))
    progress, errors = await sender.done("registration", as_csv([registration(other.number, key)]))
    assert (counts(progress), errors[0]["代码"]) == ({"failed": 1}, "other_person")


async def test_after_kills_during_an_import_every_row_is_stored_once(
    stack: RunningStack, gateway: httpx2.AsyncClient, issuer: TokenIssuer, sender: Sender, processes: Processes
) -> None:
    """One row in a hundred is invalid; the worker is killed twice during the import, and the api once."""
    people = [person_row() for _ in range(PEOPLE)]
    admin = Sender(gateway, issuer, IDENTITY, scopes=frozenset(), roles=frozenset({"admin"}))
    loaded, _ = await admin.done("practitioners", as_csv(people))
    assert counts(loaded) == {"created": PEOPLE}
    system, stranger = own_name("system"), str(random_card()["document_number"])
    rows = [
        registration(stranger if number % 100 == 7 else people[number % PEOPLE]["证件号码"], f"k{number}", 来源=system)
        for number in range(ROWS)
    ]
    bad, subscriber = ROWS // 100, Subscriber(stack.kafka, "records.changes")
    await subscriber.skip()
    import_id = await sender.started("registration", as_csv(rows))

    async def beyond(done: int) -> bool:
        return bool((await sender.progress(import_id))["rows_done"] > done)

    for part in (0, ROWS // 4):
        await eventually(lambda part=part: beyond(part), 60, f"more than {part} rows", pause=0.02)  # type: ignore[misc]
        await processes.kill("records-worker")
        assert (await sender.progress(import_id))["rows_done"] < ROWS
    await processes.kill("records-api")
    await processes.ready(stack.facts["services"]["records"]["internal"])
    progress = await sender.ended(import_id, scaled(300, 120))
    assert counts(progress) == {"created": ROWS - bad, "failed": bad}
    assert progress["rows_done"] == progress["rows_total"] == ROWS
    errors = await sender.errors(import_id)
    assert [int(error["行号"]) for error in errors] == [number + 2 for number in range(7, ROWS, 100)]
    again, _ = await sender.done("registration", as_csv(rows), 120)
    assert counts(again) == {"unchanged": ROWS - bad, "failed": bad}
    told = await subscriber.until(lambda found: len(found) >= ROWS - bad, 60, "an event of every row")
    own = [version_of(each) for each in told if system.encode() in (each.value or b"")]
    assert (len(own), {version for _, version in own}) == (ROWS - bad, {1})
    assert len(set(own)) == ROWS - bad


async def test_an_import_is_visible_to_its_sender_and_to_admins_only(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, sender: Sender, citizen: Citizen, person: Person
) -> None:
    import_id = await sender.started("registration", as_csv([registration(citizen.number, own_name("k"))]))
    other = Sender(gateway, issuer)
    for path in ("", "/errors.csv"):
        response = await gateway.get(f"{sender.path}/{import_id}{path}", headers=other.headers)
        problem(response, 404, "not_found")
        assert (await person.call("GET", f"{sender.path}/{import_id}{path}")).status_code == 403
    admin = Sender(gateway, issuer, scopes=frozenset(), roles=frozenset({"admin"}))
    assert (await admin.look(import_id)).status_code == 200
    for unable in (
        Sender(gateway, issuer, scopes=frozenset({"records:read"})),
        Sender(gateway, issuer, scopes=frozenset(), roles=frozenset({"clerk"})),
    ):
        problem(await unable.send("registration", b"x"), 403, "forbidden")
        problem(await unable.look(import_id), 403, "forbidden")
    problem(await sender.look(own_id()), 404, "not_found")


async def test_a_file_with_wrong_columns_is_refused_and_they_are_named(sender: Sender) -> None:
    row = registration("310101199003071230", "k") | {"备注": "x", "电话13800005678": "x"}
    del row["来源编号"]
    [error] = problem(await sender.send("registration", as_csv([row])), 422, "invalid_fields", "13800005678")["errors"]
    assert error["code"] == "wrong_columns"
    assert "缺少列：来源编号" in error["message"]
    assert "H 列（备注）、I 列" in error["message"]
    bare = as_csv([row]).split(b"\r\n", 1)[1]
    refused = problem(await sender.send("registration", bare), 422, "invalid_fields", "310101199003071230")
    assert [error["code"] for error in refused["errors"]] in (["no_header"], ["empty"])


def bomb() -> bytes:
    """A workbook of a few kilobytes that unpacks to a huge size."""
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", b"")
        packed.writestr("xl/worksheets/sheet1.xml", b"\0" * 300_000_000)
    return made.getvalue()


def far_corner() -> bytes:
    """Two cells as far apart as a sheet allows."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"], sheet["XFD1048576"] = "证件类型", "x"
    made = BytesIO()
    book.save(made)
    return made.getvalue()


async def test_hostile_files_are_refused_and_the_next_good_one_is_taken(sender: Sender, citizen: Citizen) -> None:
    good = as_csv([registration(citizen.number, own_name("k"))])
    wide = as_csv([{f"c{number}": "x" for number in range(100)}])
    hostile: dict[str, tuple[str, bytes]] = {
        "nothing": ("empty", b""),
        "titles only": ("empty", ",".join(REGISTRATION).encode()),
        "a bomb": ("too_costly", bomb()),
        "far corner": ("too_costly", far_corner()),
        "cut off": ("damaged", as_xlsx([REGISTRATION, ["x"]])[:2_000]),
        "an old workbook": ("not_xlsx", b"\xd0\xcf\x11\xe0" + b"\0" * 100),
        "a picture": ("encoding", b"\xff\xd8\xff\xe0" * 50),
        "a quote left open": ("damaged", good + b'"'),
        "too wide": ("too_many_columns", wide),
        "a long cell": ("cell_too_long", good + b"x" * 6_000),
        "too many rows": ("too_many_rows", b"a\n" * 100_003),
    }
    for what, (code, content) in hostile.items():
        body = problem(await sender.send("registration", content), 422, "invalid_fields")
        assert [error["code"] for error in body["errors"]] == [code], what
    problem(await sender.send("registration", b"x" * (20 * 1024 * 1024)), 413, "file_too_large")
    progress, _ = await sender.done("registration", good)
    assert counts(progress) == {"created": 1}


async def test_the_template_can_be_filled_in_and_sent(
    gateway: httpx2.AsyncClient, sender: Sender, citizen: Citizen
) -> None:
    titles = (await gateway.get(f"{sender.path}/registration/template.csv")).content.decode("utf-8-sig").strip()
    assert titles.split(",")[:4] == REGISTRATION[:4]
    response = await gateway.get(f"{sender.path}/registration/template.xlsx")
    book = load_workbook(BytesIO(response.content))
    data, notes = book.worksheets
    assert [cell.value for cell in data[1]] == titles.split(",")
    assert len(list(notes.rows)) == len(titles.split(",")) + 1
    row = registration(citizen.number, own_name("k"))
    for column, title in enumerate(titles.split(","), 1):
        data.cell(2, column).value = row.get(title)
    filled = BytesIO()
    book.save(filled)
    progress, errors = await sender.done("registration", filled.getvalue())
    assert (counts(progress), errors) == ({"created": 1}, [])


async def test_no_personal_data_of_a_file_is_kept(
    stack: RunningStack, sender: Sender, citizen: Citizen, window: Window
) -> None:
    stranger = str(random_card()["document_number"])
    await sender.done("registration", as_csv([registration(citizen.number, "a"), registration(stranger, "b")]))
    async with blobs.connect(stack.blobs("records")) as bucket:
        for key in await bucket.keys("imports/"):
            content = await bucket.named(key)
            assert not [number for number in (citizen.number, stranger) if number.encode() in content], key
            assert not key.endswith("/original") or len(content) < 100
    async with mongo.connect(stack.mongo, "records") as database:
        for name in await database.list_collection_names():
            async for document in database[name].find():
                assert not [number for number in (citizen.number, stranger) if number in str(document)], name
    for log in ("records-api", "records-worker", "identity-api"):
        text = await asyncio.to_thread(stack.log(log).read_text, errors="replace")
        assert not [number for number in (citizen.number, stranger) if number in text], log
