"""The window's pages: people are found by any document, read for a reason, certificates changed after confirmation."""

import base64
from html import unescape
from typing import Any

import pytest
import pytest_asyncio
from markupsafe import escape

from deploy.local.people import portrait, random_phone
from tests.portal.test_portal_text import HOSTILE, harmless
from tests.support.browsing import Browsing, hidden_of
from tests.support.identity_clients import Citizen, LoginPage, Window, another
from tests.support.identity_documents import PAPERS, passport
from tests.support.people import EDUCATION
from tests.support.portal import Member, NewMember
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.staffing import WHY, Desk, attend
from tests.support.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clerk_desk(desk_of: Desk) -> Browsing:
    """Browsers of clerks."""
    return await desk_of("clerk")


async def registered(window: Window, papers: dict[str, Any]) -> str:
    response = await window.clerk.call("POST", "/api/identity/practitioners", json=papers)
    return str(response.raise_for_status().json()["practitioner_id"])


@pytest.mark.parametrize("paper", PAPERS)
async def test_a_person_is_found_by_every_document(clerk_desk: Browsing, window: Window, paper: str) -> None:
    papers = PAPERS[paper]()
    person = await registered(window, papers)
    names = ("document_type", "document_number", "nationality")
    typed = {name: str(papers[name]).lower() for name in names if papers.get(name)}
    found = await clerk_desk.submit("/staff/find", **typed)
    assert found.headers["location"] == f"/staff/people/{person}"
    other = await clerk_desk.submit("/staff/find", **(typed | {"document_number": "X0000001"}))
    assert other.status_code == 404
    assert "没有找到持有该证件的人员" in other.text


async def test_the_country_distinguishes_two_passports_with_one_number(clerk_desk: Browsing, window: Window) -> None:
    french = passport("FRA")
    first, second = await registered(window, french), await registered(window, french | {"nationality": "USA"})
    typed = {"document_type": "passport", "document_number": french["document_number"]}
    unclear = await clerk_desk.submit("/staff/find", **typed)
    assert (unclear.status_code, "请同时提供签发国" in unclear.text) == (409, True)
    for country, person in (("fra", first), ("USA", second)):
        found = await clerk_desk.submit("/staff/find", **typed, nationality=country)
        assert found.headers["location"] == f"/staff/people/{person}"


async def test_a_reason_is_given_once_sent_with_every_access_and_shown_to_the_person(
    desk_of: Desk, member: Member
) -> None:
    clerk, person = await desk_of("clerk"), f"/staff/people/{member.citizen.id}"
    for path in ("", "/file/education", "/portrait", "/certificate/revoke"):
        asked = (await clerk.get(person + path)).headers["location"]
        assert asked == f"{person}/reason?next={person}{path}"
    for wrong in ({}, {"reason": "other", "words": "  "}, {"reason": "我想看看"}):
        assert (await clerk.submit(f"{person}/reason", **wrong)).status_code == 422
    given = await clerk.submit(f"{person}/reason", f"{person}/reason?next={person}/file/title", reason=WHY)
    assert given.headers["location"] == f"{person}/file/title"
    for path in ("", "/file/education", "/portrait"):
        assert (await clerk.get(person + path)).status_code == 200
    assert WHY in (await clerk.get(person)).text
    other = await desk_of("clerk")
    assert (await other.get(person)).status_code == 303

    async def shown() -> bool:
        text = (await member.browsing.get("/account/looks")).text
        return all(word in text for word in (WHY, "个人基本信息", "照片", "从业记录", "个人数字证书"))

    await eventually(shown, 20, "the person sees the looks")


async def test_a_reason_opens_one_dossier_only(clerk_desk: Browsing, member: Member) -> None:
    person = f"/staff/people/{member.citizen.id}"
    for elsewhere in ("https://evil.example/", "//evil.example", "/operators", "/staff/find"):
        given = await clerk_desk.submit(f"{person}/reason", f"{person}/reason?next={elsewhere}", reason=WHY)
        assert given.headers["location"] == person


async def test_an_unknown_id_is_not_found(clerk_desk: Browsing) -> None:
    nobody = "/staff/people/00000000-0000-4000-8000-000000000000"
    assert (await clerk_desk.submit(f"{nobody}/reason", reason=WHY)).status_code == 404
    for path in ("/staff/people/1", "/staff/register/nothing", "/staff/register/resident_id", f"{nobody}/file/nothing"):
        assert (await clerk_desk.get(path)).status_code in (303, 404), path
    assert (await clerk_desk.get("/staff/register/resident_id")).status_code == 404


async def test_a_certificate_is_issued_rebound_and_revoked_each_after_a_confirmation(
    clerk_desk: Browsing, window: Window, login_page: LoginPage
) -> None:
    citizen = await window.registered()
    person = f"/staff/people/{citizen.id}"
    await attend(clerk_desk, citizen.id)
    assert "未申领" in (await clerk_desk.get(person)).text
    for action, phone, state in (("issue", citizen.phone, "有效"), ("rebind", random_phone(), "有效"),
                                 ("revoke", "", "已注销"), ("issue", citizen.phone, "有效")):  # fmt: skip
        path = f"{person}/certificate/{action}"
        asked = await clerk_desk.submit(path, phone=phone) if phone else await clerk_desk.get(path)
        assert (asked.status_code, phone in asked.text) == (200, True)
        code = {"code": await login_page.code(phone)} if action == "rebind" else {}
        typed = hidden_of(asked.text, path) | code
        done = await clerk_desk.ask("POST", path, data=typed)
        assert done.headers["location"] == f"{person}?note={action}"
        page = (await clerk_desk.get(person)).text
        assert state in page
        assert f"{phone[:3]}****{phone[-4:]}" in page
    again = await clerk_desk.ask("POST", f"{person}/certificate/issue", data=typed)
    assert (again.status_code, "已申领个人数字证书" in again.text) == (409, True)


async def test_a_wrong_code_is_reported_at_its_field_and_the_right_one_binds(
    clerk_desk: Browsing, window: Window, login_page: LoginPage
) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    path = f"/staff/people/{citizen.id}/certificate/rebind"
    await attend(clerk_desk, citizen.id)
    asked = await clerk_desk.submit(path, phone=phone)
    code = await login_page.code(phone)
    hidden = hidden_of(asked.text, path)
    for typed, status, words in (("", 422, "请填写新手机收到的动态密码"), (another(code), 401, "还可以再试4次")):
        answer = await clerk_desk.ask("POST", path, data=hidden | {"code": typed})
        assert (answer.status_code, words in answer.text, "#f-code" in answer.text) == (status, True, True)
        assert phone in answer.text
    again = await clerk_desk.ask("POST", path, data=hidden | {"again": "1"})
    assert (again.status_code, 'name="code"' in again.text) == (429, True), "the code that came may still be typed"
    done = await clerk_desk.ask("POST", path, data=hidden | {"code": f" {code[:3]} {code[3:]}"})
    assert done.headers["location"].endswith("?note=rebind")


@pytest.mark.parametrize("action", ["issue", "rebind"])
async def test_a_phone_of_somebody_else_requires_a_reason(
    clerk_desk: Browsing, window: Window, login_page: LoginPage, action: str
) -> None:
    child = await window.enrolled()
    parent = await (window.registered() if action == "issue" else window.enrolled())
    await login_page.forget_limits(child)
    path, reason = f"/staff/people/{parent.id}/certificate/{action}", "老人使用子女的手机"
    await attend(clerk_desk, parent.id)
    page = await clerk_desk.submit(path, phone=child.phone)
    if action == "issue":
        page = await clerk_desk.ask("POST", path, data=hidden_of(page.text, path))
    assert (page.status_code, "确需共用的，请说明原因" in page.text) == (409, True)
    assert f'value="{child.phone}"' in page.text
    typed = hidden_of(page.text, path) | {"phone": child.phone, "shared_reason": reason}
    asked = await clerk_desk.ask("POST", path, data=typed)
    assert asked.status_code == 200, asked.text
    code = {"code": await login_page.code(child.phone)} if action == "rebind" else {}
    done = await clerk_desk.ask("POST", path, data=hidden_of(asked.text, path) | code)
    assert done.headers["location"].endswith(f"?note={action}")


@pytest.mark.parametrize("phone", ["", "12345", "<script>hit()</script>"])
async def test_an_invalid_phone_is_reported_at_its_field(clerk_desk: Browsing, window: Window, phone: str) -> None:
    citizen = await window.registered()
    await attend(clerk_desk, citizen.id)
    path = f"/staff/people/{citizen.id}/certificate/issue"
    typed = {"csrf": await clerk_desk.csrf(path), "phone": phone, "step": "confirmed"}
    response = await clerk_desk.ask("POST", path, data=typed)
    assert "手机号码" in response.text.split('class="summary"')[1].split("</div>")[0]
    harmless(response.text)


@pytest.mark.parametrize("paper", ["passport", "military", "hk_macao_permit", "taiwan_permit", "foreign_card"])
async def test_a_document_without_a_chip_is_typed_twice(clerk_desk: Browsing, paper: str) -> None:
    papers = PAPERS[paper]()
    path = f"/staff/register/{papers['document_type']}"
    skipped = ("source", "document_type", "reader", "portrait", "long_term")
    typed = {name: str(value) for name, value in papers.items() if value and name not in skipped}
    first = await clerk_desk.submit(path, **typed)
    assert first.headers["location"].endswith("?note=registered"), first.text
    second = await clerk_desk.submit(path, **(typed | {"name": "改名"}))
    assert second.headers["location"] == first.headers["location"].replace("registered", "read_again")
    wrong = await clerk_desk.submit(path, **(typed | {"birth_date": "2099-01-01", "name": ""}))
    assert wrong.status_code == 422
    assert escape(typed["document_number"]) in wrong.text
    assert "#f-name" in wrong.text
    assert "#f-birth_date" in wrong.text


async def test_a_chosen_photo_is_kept_until_the_form_is_valid(clerk_desk: Browsing) -> None:
    path, papers = "/staff/register/passport", passport()
    typed = {name: str(value) for name, value in papers.items() if value and name not in ("source", "document_type")}
    photo = base64.b64decode(portrait())
    form = hidden_of((await clerk_desk.get(path)).text, path) | typed
    wrong = await clerk_desk.ask("POST", path, data=form | {"birth_date": "2099-01-01"}, files=chosen(photo))
    assert wrong.status_code == 422
    assert unescape(hidden_of(wrong.text, path)["portrait"]) == base64.b64encode(photo).decode()
    right = hidden_of(wrong.text, path) | typed | {"birth_date": str(papers["birth_date"]).replace("-", "")}
    done = await clerk_desk.ask("POST", path, data=right, files={"file": ("", b"", "application/octet-stream")})
    person = done.headers["location"].removesuffix("?note=registered")
    await attend(clerk_desk, person.rpartition("/")[2])
    kept = await clerk_desk.get(f"{person}/portrait")
    assert (kept.status_code, kept.headers["content-type"]) == (200, "image/jpeg")
    assert (await clerk_desk.submit(path, **typed)).headers["location"] == f"{person}?note=read_again"
    assert (await clerk_desk.get(f"{person}/portrait")).content == kept.content


def chosen(photo: bytes) -> dict[str, tuple[str, bytes, str]]:
    return {"file": ("photo.jpg", photo, "image/jpeg")}


@pytest.mark.parametrize("photo", [b"GIF89a", b"\xff\xd8\xff" + bytes(200), b"\xff\xd8\xff" * 40_000, bytes(2_000_000)])
async def test_an_invalid_or_too_large_photo_is_reported_at_its_field(clerk_desk: Browsing, photo: bytes) -> None:
    path, papers = "/staff/register/passport", passport()
    typed = {name: str(value) for name, value in papers.items() if value and name not in ("source", "document_type")}
    form = hidden_of((await clerk_desk.get(path)).text, path) | typed
    answer = await clerk_desk.ask("POST", path, data=form, files=chosen(photo))
    assert answer.status_code == 422
    summary = answer.text.split('class="summary"')[1].split("</div>")[0]
    assert "#f-portrait" in summary
    assert "照片" in summary
    assert typed["document_number"] in answer.text
    assert hidden_of(answer.text, path)["portrait"] == ""


async def test_a_person_without_a_portrait_has_a_placeholder(clerk_desk: Browsing, window: Window) -> None:
    person = await registered(window, passport())
    await attend(clerk_desk, person)
    shown = await clerk_desk.get(f"/staff/people/{person}/portrait")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/svg+xml")
    assert "暂无照片" in shown.text


async def test_a_card_is_sent_to_identity_as_read(clerk_desk: Browsing) -> None:
    card = Citizen().card
    skipped = ("source", "reader", "long_term")
    typed = {name: str(value) for name, value in card.items() if value and name not in skipped}
    typed["device_id"] = card["reader"]["device_id"]
    path = "/staff/register/card"
    refused = await clerk_desk.submit(path, **(typed | {"device_id": ""}))
    assert (refused.status_code, "读卡信息不完整" in refused.text) == (422, True)
    assert typed["portrait"] in unescape(refused.text)
    done = await clerk_desk.submit(path, **typed)
    assert done.headers["location"].endswith("?note=registered"), done.text


async def test_only_the_card_page_may_connect_to_the_reader(clerk_desk: Browsing, stack: RunningStack) -> None:
    origin = stack.facts["card_reader"]
    for path in ("/staff/register/card", "/staff/register/passport", "/staff/find"):
        policy = (await clerk_desk.get(path)).headers["content-security-policy"]
        asked = next(part.split()[1:] for part in policy.split(";") if part.split()[0] == "connect-src")
        assert asked == (["'self'", origin] if path.endswith("card") else ["'self'"])


async def test_names_and_reasons_are_escaped(desk_of: Desk, window: Window) -> None:
    clerk, citizen = await desk_of("clerk"), await window.registered()
    for hostile in HOSTILE:
        person = f"/staff/people/{citizen.id}"
        typed = {"reason": "other", "words": hostile}
        assert (await clerk.submit(f"{person}/reason", **typed)).headers.get("location") == person
        pages = [await clerk.get(person), await clerk.get(f"{person}/reason?next={hostile}")]
        pages.append(await clerk.submit("/staff/find", document_type="passport", document_number=hostile))
        pages.append(await clerk.submit("/staff/register/passport", name=hostile, document_number=hostile))
        pages.append(await clerk.submit(f"{person}/certificate/issue", phone=hostile))
        for page in pages:
            harmless(page.text)
        assert str(escape(hostile)) in pages[0].text


async def test_a_clerk_reads_the_records_and_scans_of_this_person_only(desk_of: Desk, new_member: NewMember) -> None:
    clerk, person, other = await desk_of("clerk"), await new_member(), await new_member()
    record = await person.add("education", EDUCATION)
    scans = f"/api/attachments/records/{record}/attachment"
    form: dict[str, Any] = {"files": {"file": ("a.jpg", scan(72))}, "data": {"title": "学历证书"}}
    attachment = (await person.file.call("POST", scans, **form)).json()["attachment_id"]
    mine, theirs = (f"/staff/people/{each.citizen.id}" for each in (person, other))
    for each in (person, other):
        await attend(clerk, each.citizen.id)

    async def accepted() -> bool:
        text = (await clerk.get(f"{mine}/file/education")).text
        return f"{mine}/attachments/{attachment}/image" in text

    await eventually(accepted, 30, "the scan is accepted")
    page = (await clerk.get(f"{mine}/file/education")).text
    assert EDUCATION["school"] in page
    assert "编辑" not in page
    assert "删除" not in page
    picture = await clerk.get(f"{mine}/attachments/{attachment}/image")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert (await clerk.get(f"{theirs}/attachments/{attachment}/image")).status_code == 404
