"""The public API of records: what a practitioner's browser and a subscriber see."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
from jsonschema import Draft202012Validator

from deploy.local.samples import RECORDS
from kit.core.clock import ManualClock
from kit.security.tokens import Caller, TokenIssuer
from tests.support.identity_clients import at_once, just_now
from tests.support.names import own_id
from tests.support.people import EDUCATION, OWN, Person
from tests.support.problems import fields_of, problem
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber, version_of
from tests.support.tokens import practitioner_token, token_settings

RECORD = "/api/records/records"
MENU = ["education", "degree", "title", "registration", "skill_certificate", "work_experience", "project", "credit"]
READ_ONLY = {"registration", "project", "credit"}
PROJECT = {
    "project_no": "1", "project_name": "2", "contract_type": "3", "position": "4", "speciality": "5",
}  # fmt: skip
ASTRAL = "\U00020bb7田·\U0002b740買买提·\U00031350"


async def test_a_new_record_is_returned_with_its_location_and_version(person: Person) -> None:
    response = await person.create()
    record = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"{RECORD}/{record['record_id']}"
    assert response.headers["ETag"] == '"1"'
    assert response.headers["X-Request-Id"]
    assert record | {"kind": "education", "version": 1, "data": EDUCATION} == record
    assert record | {"practitioner_id": person.id, "attachment": None, "source": None} == record
    assert record["created_at"] == record["updated_at"]
    assert just_now(record["created_at"])
    read = await person.call("GET", response.headers["Location"])
    assert (read.status_code, read.headers["ETag"], read.json()) == (200, '"1"', record)


async def test_the_callers_request_id_is_returned(person: Person) -> None:
    given = await person.call("GET", OWN, headers={"X-Request-Id": "window-4711"})
    hostile = await person.call("GET", OWN, headers={"X-Request-Id": "<script>"})
    assert given.headers["X-Request-Id"] == "window-4711"
    assert hostile.headers["X-Request-Id"] != "<script>"


@pytest.mark.parametrize(("kind", "data"), RECORDS)
async def test_every_sample_row_of_the_guide_is_accepted(person: Person, kind: str, data: dict[str, Any]) -> None:
    assert (await person.created(data, kind=kind))["data"] == data


async def test_the_list_shows_the_newest_first_page_by_page(person: Person) -> None:
    made = [(await person.created(EDUCATION | {"major": f"{number}"}))["record_id"] for number in range(5)]
    pages: list[list[str]] = []
    query: dict[str, str] = {"limit": "2"}
    while len(pages) < 4:
        page = (await person.list(**query)).json()
        pages.append([item["record_id"] for item in page["items"]])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]


async def test_the_list_can_show_one_kind_only(person: Person) -> None:
    await person.created()
    title = await person.created(RECORDS[3][1], kind="title")
    assert [item["record_id"] for item in (await person.list(kind="title")).json()["items"]] == [title["record_id"]]
    assert (await person.list(kind="project")).json() == {"items": [], "next_cursor": None}
    assert len((await person.list()).json()["items"]) == 2
    assert fields_of(problem(await person.list(kind="hobby"), 422, "invalid_fields", "hobby")) == {
        "kind": "unknown_kind"
    }


@pytest.mark.parametrize("cursor", ["nonsense", "%00", "eyJhIjoxfQ", "!!!", "MQoy", ""])
async def test_an_invalid_cursor_is_refused(person: Person, cursor: str) -> None:
    body = problem(await person.list(cursor=cursor), 422, "invalid_fields")
    assert fields_of(body) == {"cursor": "cursor_invalid"}


@pytest.mark.parametrize("limit", ["0", "-1", "201", "many", "1e3"])
async def test_the_page_size_is_limited(person: Person, limit: str) -> None:
    assert list(fields_of(problem(await person.list(limit=limit), 422, "invalid_fields"))) == ["limit"]


async def test_a_change_needs_the_version_that_it_replaces(person: Person) -> None:
    record = await person.created()
    path, body = f"{RECORD}/{record['record_id']}", {"data": EDUCATION | {"major": "桥梁"}}
    problem(await person.call("PUT", path, json=body), 428, "precondition_required", "桥梁")
    problem(await person.call("DELETE", path), 428, "precondition_required")
    for malformed in ("1", "*", 'W/"1"', '"one"', '"-1"', '"1","2"', "", '"99999999999"', '"１"'):
        headers = {"If-Match": malformed.encode()}
        problem(await person.call("PUT", path, json=body, headers=headers), 400, "if_match_invalid", "桥梁")
        problem(await person.call("DELETE", path, headers=headers), 400, "if_match_invalid")
    assert (await person.get(record["record_id"])).json() == record


async def test_a_change_makes_the_next_version(person: Person) -> None:
    record = await person.created()
    changed = await person.change(record["record_id"], 1, EDUCATION | {"major": "桥梁"})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert changed.json()["data"] == EDUCATION | {"major": "桥梁"}
    assert changed.json()["created_at"] == record["created_at"]
    assert (await person.get(record["record_id"])).json() == changed.json()


async def test_a_change_of_an_old_version_returns_the_current_one(person: Person) -> None:
    record_id = (await person.created())["record_id"]
    current = (await person.change(record_id, 1, EDUCATION | {"major": "桥梁"})).json()
    body = problem(await person.change(record_id, 1, EDUCATION | {"major": "隧道"}), 412, "version_conflict", "隧道")
    assert body["current"] == current
    assert problem(await person.delete(record_id, 1), 412, "version_conflict")["current"] == current
    assert (await person.get(record_id)).json() == current


async def test_of_many_concurrent_changes_of_one_version_one_succeeds(person: Person) -> None:
    record_id = (await person.created())["record_id"]
    answers = await at_once(*(person.change(record_id, 1, EDUCATION | {"major": f"{n}"}) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 9]
    assert (await person.get(record_id)).json()["version"] == 2


async def test_the_same_data_again_make_no_new_version(person: Person) -> None:
    record = await person.created()
    again = await person.change(record["record_id"], 1, EDUCATION)
    assert (again.status_code, again.headers["ETag"], again.json()) == (200, '"1"', record)


async def test_a_deleted_record_is_not_found_anywhere(person: Person) -> None:
    record_id = (await person.created())["record_id"]
    deleted = await person.delete(record_id, 1)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert deleted.headers["X-Request-Id"]
    problem(await person.get(record_id), 404, "not_found")
    problem(await person.history(record_id), 404, "not_found")
    problem(await person.change(record_id, 2, EDUCATION), 404, "not_found")
    problem(await person.delete(record_id, 2), 404, "not_found")
    assert (await person.list()).json()["items"] == []


async def test_the_history_has_every_version(person: Person) -> None:
    record = await person.created()
    changed = (await person.change(record["record_id"], 1, EDUCATION | {"major": "桥梁"})).json()
    response = await person.history(record["record_id"])
    first, second = response.json()["items"]
    assert response.json()["next_cursor"] is None
    who = f"practitioner:{person.id}"
    assert (first["version"], first["action"], first["by"], first["at"]) == (1, "created", who, record["created_at"])
    assert {"field": "school", "old": None, "new": "同济大学"} in first["changes"]
    assert second == {
        "version": 2, "action": "changed", "by": who, "at": changed["updated_at"],
        "changes": [{"field": "major", "old": "土木工程", "new": "桥梁"}],
    }  # fmt: skip


async def test_the_same_idempotency_key_gets_the_same_response(person: Person) -> None:
    key = own_id()
    first = await person.create(key=key)
    record_id = first.json()["record_id"]

    async def same_again() -> None:
        again = await person.create(key=key)
        assert (again.status_code, again.content) == (201, first.content)
        assert (again.headers["ETag"], again.headers["Location"]) == (first.headers["ETag"], first.headers["Location"])

    await same_again()
    await person.change(record_id, 1, EDUCATION | {"major": "桥梁", "registration_no": "7"})
    await same_again()
    await person.delete(record_id, 2)
    await same_again()
    problem(await person.get(record_id), 404, "not_found")


async def test_an_idempotency_key_cannot_be_used_for_two_requests(
    person: Person, new_person: Callable[[], Person]
) -> None:
    key = own_id()
    await person.create(key=key)
    other = await person.create(EDUCATION | {"major": "桥梁"}, key=key)
    problem(other, 409, "idempotency_conflict", "桥梁")
    problem(await person.create(RECORDS[3][1], kind="title", key=key), 409, "idempotency_conflict")
    assert (await new_person().create(key=key)).status_code == 201
    assert len((await person.list()).json()["items"]) == 1


@pytest.mark.parametrize("key", ["two words", "k" * 256])
async def test_a_key_is_one_printable_word(person: Person, key: str) -> None:
    assert (await person.create(key=key)).status_code == 422


async def test_the_public_knows_the_kinds_and_their_forms(gateway: httpx2.AsyncClient) -> None:
    response = await gateway.get("/api/records/kinds")
    kinds = response.json()["items"]
    assert (response.status_code, response.json()["next_cursor"]) == (200, None)
    assert [kind["name"] for kind in kinds] == MENU
    assert {kind["name"] for kind in kinds if kind["maintained_by"] == "source"} == READ_ONLY
    assert all(kind["title"] and kind["fields"] for kind in kinds)
    for kind in kinds:
        schema = (await gateway.get(f"/api/records/kinds/{kind['name']}/schema")).json()
        Draft202012Validator.check_schema(schema)
        assert [field["name"] for field in kind["fields"]] == list(schema["properties"])
        assert {field["name"] for field in kind["fields"] if field["required"]} == set(schema.get("required", ()))
    problem(await gateway.get("/api/records/kinds/hobby/schema"), 404, "not_found", "hobby")


async def test_the_public_knows_the_code_tables(gateway: httpx2.AsyncClient) -> None:
    kinds = (await gateway.get("/api/records/kinds")).json()["items"]
    names = {field["code_table"] for kind in kinds for field in kind["fields"]} - {None}
    assert names
    for name in names:
        response = await gateway.get(f"/api/records/code-tables/{name}")
        assert response.status_code == 200
        assert response.json()["items"]
    problem(await gateway.get("/api/records/code-tables/hobbies"), 404, "not_found", "hobbies")


@pytest.mark.parametrize("kind", sorted(READ_ONLY))
async def test_kinds_maintained_by_a_source_cannot_be_written(person: Person, kind: str) -> None:
    problem(await person.create(PROJECT, kind=kind), 403, "read_only_kind")
    assert (await person.list(kind=kind)).json()["items"] == []


async def test_an_unknown_kind_is_a_field_error(person: Person) -> None:
    body = problem(await person.create(kind="hobby"), 422, "invalid_fields", "hobby")
    assert fields_of(body) == {"kind": "unknown_kind"}


async def test_each_invalid_field_is_named_and_nothing_is_stored(person: Person) -> None:
    wrong = EDUCATION | {
        "school": "", "level": "魔法学徒", "start": "2014-02-30", "end": "2010-01-01", "issued_on": "2999-01-01",
        "major": "土" * 101, "hobby": "围棋",
    }  # fmt: skip
    body = problem(await person.create(wrong), 422, "invalid_fields", "魔法学徒", "围棋", "2014-02-30", "土土土")
    assert set(fields_of(body)) == {
        f"data.{name}" for name in ("school", "level", "start", "issued_on", "major", "hobby")
    }
    early = problem(await person.create(EDUCATION | {"end": "2010-01-01"}), 422, "invalid_fields")
    assert fields_of(early) == {"data.end": "date_order"}
    assert (await person.list()).json()["items"] == []


async def test_a_change_is_validated_like_a_new_record(person: Person) -> None:
    record = await person.created()
    body = problem(await person.change(record["record_id"], 1, EDUCATION | {"school": ""}), 422, "invalid_fields")
    assert list(fields_of(body)) == ["data.school"]
    assert (await person.get(record["record_id"])).json() == record


async def test_records_of_another_person_are_not_found(person: Person, new_person: Callable[[], Person]) -> None:
    record, stranger = await person.created(), new_person()
    record_id, theirs = record["record_id"], f"/api/records/practitioners/{person.id}/records"
    for answer in (
        await stranger.get(record_id),
        await stranger.history(record_id),
        await stranger.change(record_id, 1, EDUCATION | {"major": "桥梁"}),
        await stranger.change(record_id, 7, EDUCATION),
        await stranger.delete(record_id, 1),
        await stranger.call("GET", theirs),
        await stranger.call("POST", theirs, json={"kind": "education", "data": EDUCATION}),
        await stranger.get(own_id()),
    ):
        problem(answer, 404, "not_found", person.id, record_id)
    own = await person.call("GET", theirs)
    assert own.json()["items"] == [record]


def calls(person: str, record: str) -> list[tuple[str, str]]:
    theirs = f"/api/records/practitioners/{person}/records"
    return [
        ("GET", theirs), ("POST", theirs), ("GET", f"{RECORD}/{record}"), ("PUT", f"{RECORD}/{record}"),
        ("DELETE", f"{RECORD}/{record}"), ("GET", f"{RECORD}/{record}/history"),
    ]  # fmt: skip


async def test_staff_and_clients_cannot_write_records(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, person: Person
) -> None:
    record = await person.created()
    operator = issuer.issue(Caller(own_id(), "staff", roles=frozenset({"operator"})))
    client = issuer.issue(Caller(person.id, "client", scopes=frozenset({"intake"})))
    body = {"kind": "education", "data": EDUCATION}
    for token in (operator, client):
        headers = {"Authorization": f"Bearer {token}", "If-Match": '"1"'}
        for method, path in calls(person.id, record["record_id"]):
            sent = body if method == "POST" else {"data": EDUCATION} if method == "PUT" else None
            problem(await gateway.request(method, path, headers=headers, json=sent), 404, "not_found")


async def test_every_call_needs_a_valid_token(stack: RunningStack, gateway: httpx2.AsyncClient) -> None:
    yesterday = ManualClock()
    yesterday.advance(-timedelta(days=1))
    expired = practitioner_token(stack_issuer_at(stack, yesterday), own_id())
    bad: list[dict[str, str]] = [
        {}, {"Authorization": "Bearer"}, {"Authorization": "Basic eDp5"}, {"Authorization": f"Bearer {expired}"},
        {"Authorization": "Bearer a.b.c"}, {"Authorization": f"Bearer {'x' * 5_000}"},
    ]  # fmt: skip
    for method, path in calls("me", own_id()):
        for headers in bad:
            answer = await gateway.request(method, path, headers=headers)
            problem(answer, 401, "unauthorized", expired)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def stack_issuer_at(stack: RunningStack, clock: ManualClock) -> TokenIssuer:
    from joserfc.jwk import OKPKey

    keys = orjson.loads(stack.environment("identity-api")["SIGNING__KEYS"])
    return TokenIssuer([OKPKey.import_key(key) for key in keys], token_settings(stack), clock, 300)


async def test_a_subscriber_sees_every_version_of_a_record(stack: RunningStack, person: Person) -> None:
    subscriber = Subscriber(stack.kafka, "records.changes")
    await subscriber.skip()
    record = await person.created(EDUCATION | {"principal": ASTRAL})
    record_id = record["record_id"]
    await person.change(record_id, 1, EDUCATION | {"principal": "阿卜杜拉•买买提"})
    await person.delete(record_id, 2)

    def complete(records: Records) -> bool:
        return (record_id, 3) in {version_of(found) for found in records}

    events = [
        found for found in await subscriber.until(complete, 20, "three events") if version_of(found)[0] == record_id
    ]
    published = [orjson.loads(event.value) for event in events]
    assert [version_of(event)[1] for event in events] == [1, 2, 3]
    assert len({event.partition for event in events}) == 1
    assert [event["action"] for event in published] == ["created", "changed", "deleted"]
    assert [event["state"] for event in published] == ["active", "active", "deleted"]
    assert [event["data"]["principal"] for event in published[:2]] == [ASTRAL, "阿卜杜拉·买买提"]
    assert published[1]["changed"] == ["principal"]
    assert published[0] | {"kind": "education", "practitioner_id": person.id, "attachment": None} == published[0]


async def test_names_are_returned_unchanged(person: Person) -> None:
    for name in (ASTRAL, "买买提·阿卜杜拉", "\U0002b820" * 50, "﨑", "Ñandú de la Cruz"):
        record = await person.created(EDUCATION | {"principal": name})
        assert (await person.get(record["record_id"])).json()["data"]["principal"] == name
