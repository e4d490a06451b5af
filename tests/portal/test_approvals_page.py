"""The admins' page of requests that another admin approves."""

import re

import pyotp

from services.identity.accounts.domain import staff_id
from services.identity.wiring.shared import Dependencies
from tests.support.browsing import Browsing
from tests.support.identity_clients import Staff
from tests.support.names import own_name
from tests.support.staffing import Desk

PAGE = "/operators/approvals"


async def asked(browsing: Browsing, **fields: str) -> str:
    """Submits a request; the path of its form."""
    answer = await browsing.submit(PAGE, **fields)
    assert answer.headers.get("location") == f"{PAGE}?note=approval_requested", answer.text
    text = (await browsing.get(PAGE)).text
    card = next(part for part in text.split("<section") if fields["username"] in part)
    found = re.search(rf'action="({PAGE}/[0-9a-f-]+)"', card)
    assert found, card
    return found[1]


async def test_two_admins_create_an_account(desk_of: Desk) -> None:
    first, second, name = await desk_of("admin"), await desk_of("admin"), own_name("staff")
    path = await asked(first, asked="create", username=name, role_clerk="1", reason="新设受理窗口")
    own = (await first.get(PAGE)).text
    assert "撤回申请" in next(part for part in own.split("<section") if name in part)
    answer = await second.submit(path, PAGE, decision="approve")
    assert answer.status_code == 200
    assert name in answer.text
    secret, password = re.findall(r"<code>([^<]+)</code>", answer.text)[::-1]
    clerk = Staff(first.http, {"username": name, "password": password, "totp_secret": secret})
    assert pyotp.TOTP(secret).now()
    assert (await clerk.try_to_log_in()).status_code == 201
    shown = (await second.get(PAGE)).text
    assert password not in shown
    assert "已执行" in next(part for part in shown.split("<section") if name in part)


async def test_a_request_is_withdrawn_or_refused(desk_of: Desk, inside: Dependencies) -> None:
    first, second = await desk_of("admin"), await desk_of("admin")
    for decides in (first, second):
        name = own_name("staff")
        path = await asked(first, asked="create", username=name, role_admin="1", reason="新管理员")
        answer = await decides.submit(path, PAGE, decision="refuse")
        assert answer.headers.get("location") == f"{PAGE}?note=approval_refused"
        assert await inside.store.staff.get(staff_id(name)) is None


async def test_errors_are_shown_in_the_form(desk_of: Desk) -> None:
    admin = await desk_of("admin")
    answer = await admin.submit(PAGE, asked="enable", username=own_name("staff"), reason="复工")
    assert answer.status_code == 404
    answer = await admin.submit(PAGE, asked="create", username="x y", role_clerk="1", reason="")
    assert answer.status_code == 422
    assert 'value="x y"' in answer.text
    assert 'aria-invalid="true"' in answer.text


async def test_only_admins_see_it(desk_of: Desk) -> None:
    for role in ("clerk", "operator"):
        assert (await (await desk_of(role)).get(PAGE)).status_code == 404
