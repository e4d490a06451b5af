"""Irreversible actions require a recent code; afterwards the submitted form continues, including its file."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from random import Random

import pytest

from services.portal.session.sessions import cookie_hash
from tests.signature.conftest import rasterised
from tests.support.browsing import COOKIE, Browsing, hidden_of
from tests.support.identity_clients import LoginPage, another
from tests.support.portal import Member, NewMember, let_proof_grow_old
from tests.support.sheets import scanned, sign
from tests.support.stack import RunningStack

Nobody = Callable[[], Browsing]
PROOF, UPLOAD, SESSIONS = "/account/proof", "/file/signature/upload", "/account/sessions"
DOWNLOADS = [f"/account/download{kind}" for kind in ("", ".zip", ".json", ".pdf")]


async def signed(member: Member) -> bytes:
    """A signature sheet: printed, signed and scanned."""
    sent = await member.browsing.submit("/file/signature/forms", "/file/signature")
    pdf = (await member.browsing.get(sent.headers["location"])).content
    return scanned(sign(rasterised(pdf), Random(1)), Random(1))[0]


async def uploaded(browsing: Browsing, content: bytes) -> str:
    """The redirect after the upload."""
    form = hidden_of((await browsing.get("/file/signature")).text, UPLOAD)
    sent = await browsing.ask("POST", UPLOAD, data=form, files={"file": ("form.jpg", content, "image/jpeg")})
    return sent.headers["location"]


async def asked(browsing: Browsing, login_page: LoginPage, member: Member, page: str) -> tuple[dict[str, str], str]:
    """Requests a code on this page. Returns the form that takes it, and the code."""
    await login_page.forget_limits(member.citizen)
    before = len(await login_page.messages(member.citizen.phone))
    shown = await browsing.submit(PROOF, page)
    assert shown.status_code == 200, shown.text
    return hidden_of(shown.text, PROOF), await login_page.code(member.citizen.phone, before + 1)


async def state(member: Member) -> str:
    path = "/api/signature/practitioners/me/signature"
    return str((await member.file.call("GET", path)).json()["state"])


async def test_an_uploaded_signature_is_kept_during_reauthentication(
    stack: RunningStack, member: Member, login_page: LoginPage
) -> None:
    content = await signed(member)
    await let_proof_grow_old(stack, member.browsing)
    page = await uploaded(member.browsing, content)
    assert page == f"{PROOF}?next={UPLOAD}"
    assert await state(member) == "none"
    form, code = await asked(member.browsing, login_page, member, page)
    wrong = await member.browsing.ask("POST", PROOF, data=form | {"code": another(code)})
    assert (wrong.status_code, "还可以再试4次" in wrong.text, "#f-code" in wrong.text) == (401, True, True)
    done = await member.browsing.ask("POST", PROOF, data=form | {"code": code})
    assert done.headers["location"].endswith("#view")
    assert await state(member) in ("checking", "accepted")
    assert (await member.browsing.get("/account/download.json")).status_code == 200, "ten minutes have begun"


async def test_ending_another_device_continues_after_reauthentication(
    stack: RunningStack, member: Member, login_page: LoginPage, nobody: Nobody
) -> None:
    await login_page.forget_limits(member.citizen)
    await nobody().log_in(member.citizen, login_page)
    await let_proof_grow_old(stack, member.browsing)
    page = (await member.browsing.get(SESSIONS)).text
    path = f"{SESSIONS}/" + page.split(f'action="{SESSIONS}/')[1].split('"')[0]
    sent = await member.browsing.submit(path, SESSIONS)
    assert sent.headers["location"] == f"{PROOF}?next={path}"
    form, code = await asked(member.browsing, login_page, member, sent.headers["location"])
    done = await member.browsing.ask("POST", PROOF, data=form | {"code": code})
    assert done.headers["location"] == f"{SESSIONS}?note=ended"
    assert (await member.browsing.get(SESSIONS)).text.count("退出登录</button>") == 0


@pytest.mark.parametrize("path", DOWNLOADS)
async def test_the_export_requires_a_recent_code(
    stack: RunningStack, member: Member, login_page: LoginPage, path: str
) -> None:
    assert (await member.browsing.get(path)).status_code == 200
    await let_proof_grow_old(stack, member.browsing)
    sent = await member.browsing.get(path)
    assert sent.headers["location"] == f"{PROOF}?next=/account/download"
    form, code = await asked(member.browsing, login_page, member, sent.headers["location"])
    done = await member.browsing.ask("POST", PROOF, data=form | {"code": code})
    assert done.headers["location"] == "/account/download"
    assert (await member.browsing.get(path)).status_code == 200


async def test_a_held_file_is_encrypted_and_bound_to_its_browser(
    stack: RunningStack, member: Member, new_member: NewMember, login_page: LoginPage
) -> None:
    content = await signed(member)
    await let_proof_grow_old(stack, member.browsing)
    page = await uploaded(member.browsing, content)
    stranger = await new_member()
    held = [key async for key in login_page.redis.scan_iter("portal:held:*")]
    mine = [key for key in held if cookie_hash(member.browsing.cookies[COOKIE]) in key]
    assert len(mine) == 1
    assert 0 < await login_page.redis.ttl(mine[0]) <= 600
    raw = str(await login_page.redis.get(mine[0]))
    assert b64encode(content).decode()[:40] not in raw, "sealed"
    form, code = await asked(stranger.browsing, login_page, stranger, page)
    done = await stranger.browsing.ask("POST", PROOF, data=form | {"code": code})
    assert done.headers["location"] == UPLOAD, "there is nothing of theirs to go on with"
    assert [await state(stranger), await state(member)] == ["none", "none"]


async def test_a_file_that_is_too_large_is_refused_before_reauthentication(stack: RunningStack, member: Member) -> None:
    await let_proof_grow_old(stack, member.browsing)
    form = hidden_of((await member.browsing.get("/file/signature")).text, UPLOAD)
    files = {"file": ("form.jpg", b"\xff\xd8\xff" + bytes(6 * 1024 * 1024), "image/jpeg")}
    answer = await member.browsing.ask("POST", UPLOAD, data=form, files=files)
    assert (answer.status_code, "小于 5MB" in answer.text) == (413, True)


async def test_a_code_of_another_browser_is_refused(
    stack: RunningStack, member: Member, login_page: LoginPage, nobody: Nobody
) -> None:
    """A thief with a stolen cookie and an old proof cannot use the owner's code."""
    await login_page.forget_limits(member.citizen)
    thief = nobody()
    await thief.log_in(member.citizen, login_page)
    form, code = await asked(member.browsing, login_page, member, f"{PROOF}?next=/account/download")
    await let_proof_grow_old(stack, thief)
    hidden = hidden_of((await thief.get(f"{PROOF}?next=/account/download")).text, PROOF)
    refused = await thief.ask("POST", PROOF, data={"csrf": hidden["csrf"], "next": "/account/download", "code": code})
    assert (refused.status_code, "动态密码已失效" in refused.text) == (410, True)
    assert (await thief.get("/account/download.json")).status_code == 303
    assert (await member.browsing.ask("POST", PROOF, data=form | {"code": code})).status_code == 303


async def test_concurrent_pages_do_not_end_the_session_during_reauthentication(
    stack: RunningStack, member: Member, login_page: LoginPage
) -> None:
    await let_proof_grow_old(stack, member.browsing)
    form, code = await asked(member.browsing, login_page, member, f"{PROOF}?next=/account/download")
    await let_proof_grow_old(stack, member.browsing)
    pages = (member.browsing.get("/file/basic") for _ in range(5))
    done, *others = await asyncio.gather(member.browsing.ask("POST", PROOF, data=form | {"code": code}), *pages)
    assert done.headers["location"] == "/account/download"
    assert {answer.status_code for answer in others} == {200}
    assert (await member.browsing.get("/account/download")).status_code == 200


async def test_reauthentication_redirects_to_no_other_site(member: Member) -> None:
    page = await member.browsing.get(f"{PROOF}?next=//evil.example")
    assert 'name="next" value="/"' in page.text
