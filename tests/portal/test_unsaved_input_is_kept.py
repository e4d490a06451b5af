"""Typed input is kept when the session ends, the record changes, or an uploaded file is refused."""

import base64
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest

from deploy.local.people import portrait, random_phone
from tests.support.browsing import Browsing, hidden_of
from tests.support.dead_letters import DEAD_LETTER_GROUP, store_dead_letter
from tests.support.identity_clients import LoginPage
from tests.support.identity_documents import passport
from tests.support.names import own_id
from tests.support.people import EDUCATION
from tests.support.portal import Member, NewMember, end_session
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, Hire, attend, log_in

NEW = "/file/education/new"
TYPED = {name: value for name, value in EDUCATION.items() if value} | {"school": "很长时间才填完的学校"}
RESTORED = "您填写的内容已恢复，尚未保存"


async def typed_form(browsing: Browsing, path: str = NEW, **more: str) -> dict[str, str]:
    """The form of a page as a browser submits it, filled in."""
    return hidden_of((await browsing.get(path)).text, path) | TYPED | more


async def log_in_again(member: Member, login_page: LoginPage, path: str = NEW) -> None:
    await login_page.forget_limits(member.citizen)
    assert (await member.browsing.log_in(member.citizen, login_page, path)).headers["location"] == path


async def is_restored(browsing: Browsing, path: str = NEW) -> bool:
    page = (await browsing.get(path)).text
    return RESTORED in page and 'value="很长时间才填完的学校"' in page


async def test_input_of_an_ended_session_is_restored_after_logging_in(
    stack: RunningStack, member: Member, login_page: LoginPage
) -> None:
    form = await typed_form(member.browsing)
    await end_session(stack, member.browsing)
    answer = await member.browsing.ask("POST", NEW, data=form)
    assert answer.headers["location"] == f"/login?next={NEW}&note=kept"
    await log_in_again(member, login_page)
    assert await is_restored(member.browsing)
    form = await typed_form(member.browsing)
    assert (await member.browsing.ask("POST", NEW, data=form)).status_code == 303
    assert RESTORED not in (await member.browsing.get(NEW)).text


async def test_restored_input_stays_until_it_is_saved_or_discarded(
    stack: RunningStack, member: Member, login_page: LoginPage
) -> None:
    form = await typed_form(member.browsing)
    await end_session(stack, member.browsing)
    await member.browsing.ask("POST", NEW, data=form)
    await log_in_again(member, login_page)
    for _ in range(2):
        assert await is_restored(member.browsing)
    afresh = await member.browsing.get(f"{NEW}?afresh=1")
    assert RESTORED not in afresh.text
    saved = await member.browsing.ask("POST", NEW, data=hidden_of(afresh.text, NEW) | TYPED | {"school": "另一所"})
    assert saved.status_code == 303
    assert RESTORED not in (await member.browsing.get(NEW)).text


@pytest.mark.parametrize("cookie_stays", [True, False])
async def test_input_is_restored_after_a_log_out_in_another_tab(
    member: Member, login_page: LoginPage, cookie_stays: bool
) -> None:
    form, cookies = await typed_form(member.browsing), dict(member.browsing.cookies)
    assert (await member.browsing.submit("/logout", "/")).status_code == 303
    if cookie_stays:
        member.browsing.cookies = cookies
    answer = await member.browsing.ask("POST", NEW, data=form)
    why = "&why=logged_out" if cookie_stays else ""
    assert answer.headers["location"] == f"/login?next={NEW}{why}&note=kept"
    await log_in_again(member, login_page)
    assert await is_restored(member.browsing)


async def test_input_is_restored_at_once_after_a_new_log_in_in_another_tab(
    member: Member, login_page: LoginPage
) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = await typed_form(member.browsing, path)
    await member.browsing.submit("/logout", "/")
    await log_in_again(member, login_page)
    answer = await member.browsing.ask("POST", path, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert (await member.records("education"))[0]["data"] == EDUCATION
    assert await is_restored(member.browsing, path)


async def test_input_is_not_restored_for_another_person_in_the_same_browser(
    new_member: NewMember, login_page: LoginPage
) -> None:
    first, second = await new_member(), await new_member()
    form = await typed_form(first.browsing)
    await first.browsing.submit("/logout", "/")
    first.browsing.cookies = dict(second.browsing.cookies)
    answer = await first.browsing.ask("POST", NEW, data=form)
    assert answer.status_code == 403
    assert "很长时间才填完的学校" not in answer.text
    assert not await is_restored(first.browsing)
    assert await second.records("education") == []
    await first.browsing.submit("/logout", "/")
    await log_in_again(first, login_page)
    assert await is_restored(first.browsing)


async def test_input_for_a_record_deleted_elsewhere_starts_a_new_record(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = await typed_form(member.browsing, path)
    await member.file.delete(record, 1)
    for action in (path, f"{path}/attachment", f"{path}/leave"):
        answer = await member.browsing.ask("POST", action, data=form)
        assert answer.headers["location"] == f"{NEW}?note=gone", action
    page = (await member.browsing.get(f"{NEW}?note=gone")).text
    assert "原来的记录已被删除" in page
    assert (await member.browsing.ask("POST", NEW, data=hidden_of(page, NEW) | TYPED)).status_code == 303
    (new,) = await member.records("education")
    assert (new["data"]["school"], new["record_id"] == record) == ("很长时间才填完的学校", False)


async def test_input_for_a_record_deleted_during_the_log_in_starts_a_new_record(
    stack: RunningStack, member: Member, login_page: LoginPage
) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = await typed_form(member.browsing, path)
    await end_session(stack, member.browsing)
    await member.browsing.ask("POST", path, data=form)
    await member.file.delete(record, 1)
    await log_in_again(member, login_page, path)
    assert (await member.browsing.get(path)).headers["location"] == f"{NEW}?note=gone"
    assert await is_restored(member.browsing)


async def test_a_record_deleted_elsewhere_is_not_found_without_input(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    await member.file.delete(record, 1)
    assert (await member.browsing.get(f"/records/{record}")).status_code == 404
    csrf = await member.browsing.csrf("/")
    for kind in ({}, {"kind": "nothing"}, {"kind": "registration"}, {"kind": "../x"}):
        assert (await member.browsing.ask("POST", f"/records/{record}", data={"csrf": csrf, **kind})).status_code == 404


async def test_uploading_a_scan_keeps_unsaved_input(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    form = await typed_form(member.browsing, path, scan_title="毕业证书")
    refused = await member.browsing.ask("POST", f"{path}/attachment", data=form)
    assert refused.status_code == 422
    assert 'value="很长时间才填完的学校"' in refused.text
    assert 'value="毕业证书"' in refused.text
    sent = await upload(member, f"{path}/attachment", form)
    assert sent.headers["location"] == f"{path}#attachment"
    assert (await member.records("education"))[0]["data"] == EDUCATION
    for _ in range(2):
        assert await is_restored(member.browsing, path)
    form = await typed_form(member.browsing, path)
    assert (await member.browsing.ask("POST", path, data=form)).headers["location"] == "/file/education?note=saved"
    assert RESTORED not in (await member.browsing.get(path)).text


async def upload(member: Member, path: str, form: dict[str, str], content: bytes = b"") -> httpx2.Response:
    files = {"file": ("scan.jpg", content or scan(96, seed=31), "image/jpeg")}
    return await member.browsing.ask("POST", path, data=form, files=files)


async def test_saving_takes_the_scan_along(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    sent = await upload(member, path, await typed_form(member.browsing, path, scan_title="毕业证书"))
    assert sent.headers["location"] == f"{path}#attachment"
    assert (await member.records("education"))[0]["data"]["school"] == "很长时间才填完的学校"
    found = await member.file.call("GET", f"/api/attachments/records/{record}/attachment")
    assert found.json()["title"] == "毕业证书"
    assert RESTORED not in (await member.browsing.get(path)).text


async def test_a_far_too_large_file_loses_no_input(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    for megabytes in (12, 30):
        form = await typed_form(member.browsing, path)
        answer = await upload(member, path, form, b"\xff\xd8" + bytes(megabytes * 1024 * 1024))
        assert answer.status_code == 413
        assert "您填写的内容已保留" in answer.text
        assert await is_restored(member.browsing, path)


async def test_text_and_photo_of_a_clerk_are_restored(hire: Hire, browsing: Browsing, stack: RunningStack) -> None:
    clerk, path = await hire("clerk"), "/staff/register/passport"
    await log_in(browsing, clerk)
    form = hidden_of((await browsing.get(path)).text, path) | {"name": "MARTIN CLAIRE"}
    await end_session(stack, browsing)
    photo = base64.b64decode(portrait())
    await browsing.ask("POST", path, data=form, files={"file": ("photo.jpg", photo, "image/jpeg")})
    await log_in(browsing, clerk, path, totp=clerk.next_code())
    page = (await browsing.get(path)).text
    assert "MARTIN CLAIRE" in page
    assert f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}" in page


async def test_a_too_large_photo_loses_no_input_of_a_clerk(desk_of: Desk) -> None:
    clerk, path, papers = await desk_of("clerk"), "/staff/register/passport", passport()
    names = ("document_number", "nationality", "name", "sex", "birth_date")
    form = hidden_of((await clerk.get(path)).text, path) | {name: papers[name] for name in names}
    large = {"file": ("photo.jpg", b"\xff\xd8" + bytes(13 * 1024 * 1024), "image/jpeg")}
    answer = await clerk.ask("POST", path, data=form, files=large)
    assert (answer.status_code, "继续填写" in answer.text) == (413, True)
    page = (await clerk.get(path)).text
    assert papers["document_number"] in page
    registered = await clerk.ask("POST", path, data=hidden_of(page, path) | {name: papers[name] for name in names})
    assert registered.headers["location"].endswith("?note=registered")
    assert papers["document_number"] not in (await clerk.get(path)).text


async def test_a_typed_phone_is_kept_while_the_clerk_gives_the_reason_again(
    hire: Hire, browsing: Browsing, member: Member
) -> None:
    clerk, person, phone = await hire("clerk"), f"/staff/people/{member.citizen.id}", random_phone()
    await log_in(browsing, clerk)
    await attend(browsing, member.citizen.id)
    path = f"{person}/certificate/rebind"
    form = hidden_of((await browsing.get(path)).text, path) | {"phone": phone}
    await browsing.submit("/logout", "/staff/find")
    await log_in(browsing, clerk, totp=clerk.next_code())
    for answer in (await browsing.ask("POST", path, data=form), await browsing.get(path)):
        assert answer.status_code == 303
    await attend(browsing, member.citizen.id)
    assert f'value="{phone}"' in (await browsing.get(path)).text


async def test_an_operators_reason_is_restored_with_its_dead_letters(
    hire: Hire, browsing: Browsing, stack: RunningStack
) -> None:
    operator, cause = await hire("operator"), f"Reject: {own_id()}"
    await store_dead_letter(stack, cause=cause)
    await log_in(browsing, operator, "/operators")
    action = f"/operators/letters/{DEAD_LETTER_GROUP}"
    page = await browsing.ask("GET", action, params={"cause": cause})
    form = hidden_of(page.text, action) | {"reason": "故障已排除", "action": "replay"}
    await end_session(stack, browsing)
    answer = await browsing.ask("POST", action, data=form)
    back = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
    assert parse_qs(urlsplit(back).query)["cause"] == [cause]
    await log_in(browsing, operator, quote(back), totp=operator.next_code())
    assert 'value="故障已排除"' in (await browsing.get(back)).text
