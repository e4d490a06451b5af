"""Form input is validated as a whole: all errors together, contradictions named, nothing dropped silently."""

import re
from html import unescape
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from kit.core.text import REQUIRED
from services.portal.client.models import Kind
from tests.support.browsing import Browsing, hidden_of
from tests.support.identity_clients import Citizen, LoginPage, Window
from tests.support.identity_documents import passport
from tests.support.names import own_id
from tests.support.people import EDUCATION
from tests.support.portal import Member
from tests.support.staffing import WHY, Desk, attend

WORK: dict[str, str] = {
    "employer": "上海建工", "start": "2014-03-04", "title": "工程师", "position": "项目经理", "field": "施工",
}  # fmt: skip
NEW = "/file/work_experience/new"
OWN_KINDS = ("education", "degree", "title", "skill_certificate", "work_experience")
SKILL = {
    "name": "架子工证", "trade": "架子工", "level": "中级", "certificate_no": "1", "issued_on": "2014-03-19",
    "valid_from": "2014-03-01", "valid_to": "2034-03-18", "issuing_authority": "上海市人社局",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clerk_desk(desk_of: Desk) -> Browsing:
    """Browsers of clerks."""
    return await desk_of("clerk")


def errors_of(page: str) -> dict[str, str]:
    """The error text at each field."""
    found = re.findall(r'<span class="message" id="e-([a-z_]+)"><span class="unseen">错误：</span>([^<]+)</span>', page)
    return {name: unescape(message) for name, message in found}


def summary_of(page: str) -> str:
    return page.split('class="summary"')[1].split("</div>")[0]


async def test_until_today_and_an_end_date_contradict_and_both_are_kept(member: Member) -> None:
    record = await member.add("work_experience", {**WORK, "end": None})
    for path in (f"/records/{record}", NEW):
        answer = await member.browsing.submit(path, **WORK, end="2016-05-31", end_open="1")
        assert answer.status_code == 422
        assert errors_of(answer.text) == {"end": "填写了结束时间，又勾选了“至今”，请只保留一项"}
        assert 'value="2016-05-31"' in answer.text
        assert 'name="end_open" value="1" checked' in answer.text
    (kept,) = await member.records("work_experience")
    assert (kept["version"], kept["data"]["end"]) == (1, None)
    assert (await member.browsing.submit(f"/records/{record}", **WORK, end="2016-05-31")).status_code == 303
    assert (await member.records("work_experience"))[0]["data"]["end"] == "2016-05-31"


async def test_a_work_experience_form_shows_all_errors_together(member: Member) -> None:
    empty = await member.browsing.submit(NEW, **dict.fromkeys((*WORK, "end"), ""))
    assert empty.status_code == 422
    expected = dict.fromkeys(WORK, REQUIRED) | {"end": f"{REQUIRED}，或勾选“至今”"}
    assert errors_of(empty.text) == expected
    assert all(f'href="#f-{name}"' in summary_of(empty.text) for name in expected)
    mixed = await member.browsing.submit(NEW, **WORK | {"employer": "", "start": "2014-02-30", "title": "皇帝"})
    assert set(errors_of(mixed.text)) == {"employer", "start", "title", "end"}
    assert await member.records("work_experience") == []


async def test_validation_before_saving_stores_nothing_and_is_for_the_owner(member: Member) -> None:
    check = "/api/records/practitioners/me/records/check"
    right = await member.file.call("POST", check, json={"kind": "education", "data": EDUCATION})
    assert (right.status_code, right.content) == (204, b"")
    wrong = await member.file.call("POST", check, json={"kind": "education", "data": {}})
    assert {error["field"] for error in wrong.json()["errors"]} >= {"data.school", "data.issued_on"}
    another = check.replace("/me/", f"/{own_id()}/")
    answer = await member.file.call("POST", another, json={"kind": "education", "data": EDUCATION})
    assert answer.status_code == 404
    assert await member.records("education") == []


@pytest.mark.parametrize("kind", OWN_KINDS)
async def test_an_empty_field_has_the_same_message_on_pages_and_in_the_api(
    shared: Member, gateway: httpx2.AsyncClient, kind: str
) -> None:
    kinds = [Kind.model_validate(one) for one in (await gateway.get("/api/records/kinds")).json()["items"]]
    fields = next(one.fields for one in kinds if one.name == kind)
    required = [field.name for field in fields if field.required]
    page = await shared.browsing.submit(f"/file/{kind}/new", **{field.name: "" for field in fields})
    assert errors_of(page.text) == dict.fromkeys(required, REQUIRED) | (
        {"end": f"{REQUIRED}，或勾选“至今”"} if kind == "work_experience" else {}
    )
    empty: tuple[dict[str, Any], ...] = ({}, dict.fromkeys(required, ""), dict.fromkeys(required))
    for data in empty:
        answer = await shared.file.call(
            "POST", "/api/records/practitioners/me/records", json={"kind": kind, "data": data}
        )
        assert [(one["field"], one["message"]) for one in answer.json()["errors"]] == [
            (f"data.{name}", REQUIRED) for name in required
        ]


async def test_an_empty_log_in_has_the_same_message(browsing: Browsing, login_page: LoginPage) -> None:
    page = await browsing.submit("/login", document_number="", phone="", captcha="")
    assert {errors_of(page.text)[name] for name in ("document_number", "phone")} == {REQUIRED}
    staff = await browsing.submit("/staff/login", username="", password="", totp="")
    assert errors_of(staff.text) == dict.fromkeys(("username", "password", "totp"), REQUIRED)


async def test_pasted_text_is_not_truncated(
    clerk_desk: Browsing, browsing: Browsing, member: Member, window: Window
) -> None:
    """A browser truncates at `maxlength` silently: a long text is refused instead, and kept."""
    citizen = await window.registered()
    await attend(clerk_desk, citizen.id)
    pages = [
        await browsing.get("/login"), await browsing.get("/staff/login"), await clerk_desk.get("/staff/find"),
        await clerk_desk.get("/staff/register/passport"), await clerk_desk.get(f"/staff/people/{citizen.id}/reason"),
        await clerk_desk.get(f"/staff/people/{citizen.id}/certificate/issue"), await member.browsing.get(NEW),
    ]  # fmt: skip
    assert not [page.url.path for page in pages if "maxlength" in page.text]
    typed = {"reason": "other", "words": "很长的原因" * 50}
    long = await clerk_desk.submit(f"/staff/people/{citizen.id}/reason", **typed)
    assert (long.status_code, typed["words"] in long.text, "words" in errors_of(long.text)) == (422, True, True)
    school = "大" * 201
    refused = await member.browsing.submit(
        "/file/education/new", **{**EDUCATION, "registration_no": "", "school": school}
    )
    assert (refused.status_code, school in refused.text, set(errors_of(refused.text))) == (422, True, {"school"})


async def test_a_long_term_document_has_no_end_date(clerk_desk: Browsing, window: Window) -> None:
    path, papers = "/staff/register/passport", passport()
    skipped = ("source", "document_type", "reader", "portrait", "long_term", "name")
    typed = {name: str(value) for name, value in papers.items() if value and name not in skipped}
    answer = await clerk_desk.submit(path, **typed | {"name": "", "valid_to": "2035-01-01", "long_term": "1"})
    assert answer.status_code == 422
    assert errors_of(answer.text) == {"name": REQUIRED, "valid_to": "填写了有效期止，又选择了长期有效，请只保留一项"}
    assert 'value="2035-01-01"' in answer.text
    assert 'name="long_term" value="1" checked' in answer.text
    citizen = Citizen()
    read = await window.read_card(citizen, long_term=True)
    assert [one["field"] for one in read.json()["errors"]] == ["valid_to"]


async def test_a_too_large_photo_is_reported_with_all_other_errors(clerk_desk: Browsing) -> None:
    path, large = "/staff/register/passport", b"\xff\xd8\xff" + bytes(200 * 1024)
    form = hidden_of((await clerk_desk.get(path)).text, path)
    answer = await clerk_desk.ask("POST", path, data=form, files={"file": ("photo.jpg", large, "image/jpeg")})
    assert {"portrait", "document_number", "name", "sex", "birth_date"} <= set(errors_of(answer.text))


async def test_a_country_for_a_document_without_one_is_refused(clerk_desk: Browsing, window: Window) -> None:
    citizen = await window.registered()
    typed = {"document_type": "resident_id", "document_number": citizen.number, "nationality": "China"}
    answer = await clerk_desk.submit("/staff/find", **typed)
    assert (answer.status_code, "nationality" in errors_of(answer.text), 'value="China"' in answer.text) == (
        422, True, True,
    )  # fmt: skip
    assert (await clerk_desk.submit("/staff/find", **typed | {"nationality": ""})).status_code == 303


async def test_a_free_text_is_added_to_a_chosen_reason(clerk_desk: Browsing, member: Member) -> None:
    person = f"/staff/people/{member.citizen.id}"
    await clerk_desk.submit(f"{person}/reason", reason=WHY, words="电话咨询")
    assert f"{WHY}：电话咨询" in (await clerk_desk.get(person)).text


async def test_emoji_and_symbols_are_refused_in_names(member: Member, window: Window) -> None:
    chair = {
        "school": "同济大学", "degree": "硕士", "degree_name": "工学硕士", "major": "结构", "certificate_no": "1",
        "issued_on": "2013-07-01",
    }  # fmt: skip
    for name in ("李😀", "★李★", "李\ufe0f"):
        page = await member.browsing.submit("/file/degree/new", **chair, committee_chair=name)
        assert list(errors_of(page.text)) == ["committee_chair"]
        for field in ("name", "name_latin"):
            refused = await window.read_card(Citizen(), **{field: name})
            assert [one["field"] for one in refused.json()["errors"]] == [field]
    for name in ("李·某", "𠮷〇", "O'Brien-Smith", "ئەركىن", "བསྟན་འཛིན"):
        added = await member.browsing.submit("/file/degree/new", **chair, committee_chair=name)
        assert added.status_code == 303, name
    assert len(await member.records("degree")) == 5


async def test_a_list_shows_the_expiry_date_of_a_certificate(member: Member, clerk_desk: Browsing) -> None:
    await member.add("skill_certificate", SKILL)
    await attend(clerk_desk, member.citizen.id)
    for browsing, path in (
        (member.browsing, "/file/skill_certificate"),
        (clerk_desk, f"/staff/people/{member.citizen.id}/file/skill_certificate"),
    ):
        page = (await browsing.get(path)).text
        assert "2014-03-01" in page
        assert "2034-03-18" in page
