"""Forms: accepted only from the portal's own pages; input is kept; no change is overwritten unseen."""

import re
from collections.abc import Callable

import pytest
from fastapi.routing import APIRoute

from services.portal.wiring.api import ROUTERS
from tests.support.browsing import Browsing, hidden_of, token_of
from tests.support.identity_clients import LoginPage
from tests.support.names import own_id
from tests.support.people import EDUCATION
from tests.support.portal import Member, NewMember, import_record
from tests.support.scans import scan
from tests.support.stack import RunningStack

Nobody = Callable[[], Browsing]
TYPED = {name: value for name, value in EDUCATION.items() if value}
NEW = "/file/education/new"


def posts() -> list[str]:
    """Every address that accepts a form."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return [route.path for route in routes if "POST" in (route.methods or ())]


def filled(path: str) -> str:
    """The path with unknown ids."""
    return "/".join(
        "education" if part == "{name}" else own_id() if part.startswith("{") else part for part in path.split("/")
    )


def test_the_list_of_forms_is_not_empty() -> None:
    assert {"/login", "/logout", NEW} <= set(map(filled, posts()))


@pytest.mark.parametrize("path", posts())
async def test_a_form_needs_the_csrf_token_of_its_browser(shared: Member, nobody: Nobody, path: str) -> None:
    stranger = nobody()
    stolen = await stranger.csrf("/login")
    of_a_guest = token_of((await stranger.get("/login")).text)
    for csrf in ({}, {"csrf": ""}, {"csrf": stolen}, {"csrf": of_a_guest + "x"}, {"csrf": "k1.AAAA"}):
        answer = await shared.browsing.ask("POST", filled(path), data={**TYPED, **csrf})
        assert answer.status_code == 403, path
        assert "页面已过期" in answer.text
    assert (await shared.browsing.get("/file/basic")).status_code == 200
    assert await shared.records("education") == []


async def test_a_form_of_another_person_in_the_same_browser_is_refused(
    new_member: NewMember, login_page: LoginPage
) -> None:
    first, second = await new_member(), await new_member()
    form = hidden_of((await first.browsing.get(NEW)).text, NEW)
    answer = await second.browsing.ask("POST", NEW, data=form | TYPED)
    assert answer.status_code == 403
    assert await second.records("education") == []


async def test_a_record_is_added_changed_and_deleted(member: Member) -> None:
    browsing = member.browsing
    added = await browsing.submit(NEW, **TYPED)
    assert added.headers["location"].endswith("?note=added")
    (record,) = await member.records("education")
    path = f"/records/{record['record_id']}"
    assert "现在可以上传附件" in (await browsing.get(added.headers["location"])).text
    changed = await browsing.submit(path, **TYPED | {"major": "结构工程"})
    assert changed.headers["location"] == "/file/education?note=saved"
    assert "结构工程" in (await browsing.get("/file/education")).text
    asked = await browsing.get(f"{path}/delete")
    assert "确定要删除" in asked.text
    assert (await browsing.submit(f"{path}/delete")).headers["location"] == "/file/education?note=deleted"
    assert await member.records("education") == []


async def test_a_level_that_is_in_no_table_any_more_stays_in_its_form(member: Member, stack: RunningStack) -> None:
    old = EDUCATION | {"level": "高级研修班"}
    record = await import_record(stack, member.citizen.id, "education", old)
    assert '<option value="高级研修班" selected>' in (await member.browsing.get(f"/records/{record}")).text


async def test_days_may_be_written_as_people_do_and_come_back_as_typed(member: Member) -> None:
    wrong = await member.browsing.submit(NEW, **TYPED | {"start": "20091301", "end": "2013.7.1"})
    assert wrong.status_code == 422
    assert 'value="20091301"' in wrong.text
    added = await member.browsing.submit(NEW, **TYPED | {"start": "20090901", "end": "2013年7月1日"})
    assert added.status_code == 303
    (record,) = await member.records("education")
    assert (record["data"]["start"], record["data"]["end"]) == ("2009-09-01", "2013-07-01")


async def test_what_is_wrong_stands_at_its_field_and_first_on_the_page(member: Member) -> None:
    wrong = TYPED | {"school": "", "end": "2009-01-01", "level": "皇帝", "major": "<b>土木</b>"}
    answer = await member.browsing.submit(NEW, **wrong)
    assert answer.status_code == 422
    summary = answer.text.split('class="summary"')[1].split("</div>")[0]
    for name in ("school", "end", "level"):
        assert f'href="#f-{name}"' in summary
        assert f'id="e-{name}"' in answer.text
    assert "&lt;b&gt;土木&lt;/b&gt;" in answer.text
    assert 'value="102471201305001"' in answer.text
    assert await member.records("education") == []


async def test_pressing_twice_adds_one_record(member: Member) -> None:
    form = hidden_of((await member.browsing.get(NEW)).text, NEW) | TYPED
    for _ in range(2):
        assert (await member.browsing.ask("POST", NEW, data=form)).status_code == 303
    assert len(await member.records("education")) == 1


async def test_going_back_and_saving_something_else_asks_first(member: Member) -> None:
    form = hidden_of((await member.browsing.get(NEW)).text, NEW) | TYPED
    await member.browsing.ask("POST", NEW, data=form)
    answer = await member.browsing.ask("POST", NEW, data=form | {"major": "别的专业"})
    assert answer.status_code == 409
    assert "您刚才已经保存过一条" in answer.text
    again = hidden_of(answer.text, NEW) | TYPED | {"major": "别的专业"}
    assert (await member.browsing.ask("POST", NEW, data=again)).status_code == 303
    assert len(await member.records("education")) == 2


async def test_a_change_made_elsewhere_is_shown_and_the_person_chooses(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = hidden_of((await member.browsing.get(path)).text, path)
    await member.file.change(record, 1, EDUCATION | {"major": "桥梁工程"})
    mine = TYPED | {"major": "隧道工程"}
    answer = await member.browsing.ask("POST", path, data=form | mine)
    assert answer.status_code == 409
    table = answer.text.split("请核对后选择")[1].split("</table>")[0]
    assert "隧道工程" in table
    assert "桥梁工程" in table
    assert "同济大学" not in table
    assert (await member.records("education"))[0]["data"]["major"] == "桥梁工程"
    chosen = hidden_of(answer.text, path) | mine
    assert (await member.browsing.ask("POST", path, data=chosen)).status_code == 303
    assert (await member.records("education"))[0]["data"]["major"] == "隧道工程"


async def test_of_two_concurrent_changes_both_are_shown_and_none_is_lost(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = hidden_of((await member.browsing.get(path)).text, path)
    await member.file.change(record, 1, EDUCATION | {"major": "桥梁工程", "length": "四年", "principal": "王某"})
    mine = TYPED | {"major": "隧道工程", "school": "清华大学", "principal": "王某"}
    answer = await member.browsing.ask("POST", path, data=form | mine)
    assert answer.status_code == 409
    rows = {row[0]: row[1:] for row in rows_of(answer.text.split("请核对后选择")[1].split("</table>")[0])}
    assert rows == {
        "学校名称": ["清华大学", "同济大学", "您修改了"],
        "学制": ["（未修改）", "四年", "另一处修改了"],
        "所学专业": ["隧道工程", "桥梁工程", "两处都修改了"],
    }
    assert {name: value_of(answer.text, name) for name in ("school", "length", "major", "principal")} == {
        "school": "清华大学", "length": "四年", "major": "隧道工程", "principal": "王某",
    }  # fmt: skip
    saved = hidden_of(answer.text, path) | mine | {"length": "四年"}
    assert (await member.browsing.ask("POST", path, data=saved)).status_code == 303
    kept = (await member.records("education"))[0]["data"]
    assert (kept["school"], kept["length"], kept["major"]) == ("清华大学", "四年", "隧道工程")


async def test_an_end_date_set_elsewhere_is_taken_with_its_checkbox(member: Member) -> None:
    work = {"employer": "上海建工", "start": "2014-03-04", "title": "工程师", "position": "项目经理", "field": "施工"}
    record = await member.add("work_experience", work | {"end": None})
    path = f"/records/{record}"
    form = hidden_of((await member.browsing.get(path)).text, path)
    await member.file.change(record, 1, work | {"end": "2016-05-31"})
    answer = await member.browsing.ask("POST", path, data=form | work | {"field": "监理", "end_open": "1"})
    assert answer.status_code == 409
    assert value_of(answer.text, "end") == "2016-05-31"
    assert 'name="end_open" value="1">' in answer.text


async def test_a_form_error_does_not_hide_a_change_made_elsewhere(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = hidden_of((await member.browsing.get(path)).text, path)
    await member.file.change(record, 1, EDUCATION | {"major": "桥梁工程"})
    for base in (form, form | {"base": "not from a page"}, form | {"base": '{"school": {"$gt": [1]}}'}):
        answer = await member.browsing.ask("POST", path, data=base | TYPED | {"school": ""})
        assert (answer.status_code, "桥梁工程" in answer.text) == (409, True)


def rows_of(table: str) -> list[list[str]]:
    rows = [row.split("<td") for row in table.split("<tr>")[2:]]
    return [[re.sub(r"<[^>]*>", "", f"<td{cell}").strip() for cell in row[1:]] for row in rows]


def value_of(page: str, name: str) -> str:
    return page.split(f'id="f-{name}" name="{name}" value="')[1].split('"')[0]


async def test_a_verdict_on_the_scan_is_not_a_change_made_elsewhere(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = hidden_of((await member.browsing.get(path)).text, path)
    await member.file.change(record, 1, EDUCATION | {"major": "桥梁工程"})
    await member.file.change(record, 2, EDUCATION)
    assert (await member.browsing.ask("POST", path, data=form | TYPED | {"major": "新"})).status_code == 303


async def test_an_end_date_or_until_today_is_required(member: Member) -> None:
    path = "/file/work_experience/new"
    work = {"employer": "上海建工", "start": "2014-03-04", "title": "工程师", "position": "项目经理", "field": "施工"}
    answer = await member.browsing.submit(path, **work)
    assert answer.status_code == 422
    assert "至今" in answer.text.split('id="e-end"')[1].split("</span></span>")[0]
    assert (await member.browsing.submit(path, **work, end_open="1")).status_code == 303
    assert "至今" in (await member.browsing.get("/file/work_experience")).text
    assert (await member.records("work_experience"))[0]["data"]["end"] is None


async def test_ids_of_another_person_are_not_found(new_member: NewMember) -> None:
    owner, stranger = await new_member(), await new_member()
    record = await owner.add("education", EDUCATION)
    scanned = await owner.file.call(
        "POST", f"/api/attachments/records/{record}/attachment",
        files={"file": ("scan.jpg", scan(96, seed=21), "image/jpeg")}, data={"title": "扫描件"},
    )  # fmt: skip
    attachment = scanned.json()["attachment_id"]
    form_id = (await owner.file.call("POST", "/api/signature/practitioners/me/forms")).json()["form_id"]
    assert (await owner.browsing.get(f"/file/signature/forms/{form_id}.pdf")).status_code == 200
    for path in (
        f"/records/{record}", f"/records/{record}/delete", f"/records/{record}/attachment/state",
        f"/records/{record}/attachment/delete", f"/attachments/{attachment}/image",
        f"/attachments/{attachment}/thumbnail", f"/file/signature/forms/{form_id}.pdf",
    ):  # fmt: skip
        assert (await stranger.browsing.get(path)).status_code == 404, path
    csrf = await stranger.browsing.csrf("/")
    session = (await owner.file.call("GET", "/api/identity/sessions")).json()["items"][0]["session_id"]
    for path in (
        f"/records/{record}", f"/records/{record}/delete", f"/records/{record}/attachment/delete",
        f"/account/sessions/{session}/end",
    ):  # fmt: skip
        answer = await stranger.browsing.ask("POST", path, data={"csrf": csrf, "base": "x", **TYPED})
        assert answer.status_code == 404, path
    assert (await owner.browsing.get("/file/basic")).status_code == 200
    files = {"file": ("scan.jpg", b"\xff\xd8\xff", "image/jpeg")}
    form = {"csrf": csrf, "title": "别人的扫描件"}
    answer = await stranger.browsing.ask("POST", f"/records/{record}/attachment", data=form, files=files)
    assert answer.status_code == 404
    assert (await owner.records("education"))[0]["data"] == EDUCATION
