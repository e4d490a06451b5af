"""A rebinding that needs a second clerk: requested at one window, found, compared and decided at another."""

import pytest

from deploy.local.people import random_phone
from tests.support.browsing import Browsing, hidden_of
from tests.support.identity_clients import LoginPage, Window
from tests.support.staffing import Desk, attend

LIST = "/staff/rebindings"


@pytest.mark.parametrize(
    ("decision", "words"), [("confirm", "已确认，新的手机号码已绑定"), ("refuse", "已拒绝或撤回，原手机号码继续有效")]
)
async def test_a_rebinding_is_requested_at_one_window_and_decided_at_another(
    desk_of: Desk, window: Window, login_page: LoginPage, decision: str, words: str
) -> None:
    citizen, phone = await window.enrolled(), random_phone()
    first, second = await desk_of("clerk"), await desk_of("clerk")
    person = f"/staff/people/{citizen.id}"
    await found(first, citizen.number)
    await attend(first, citizen.id)
    path = f"{person}/certificate/rebind"
    asked = await first.submit(path, phone=phone)
    typed = hidden_of(asked.text, path) | {"code": await login_page.code(phone)}
    done = await first.ask("POST", path, data=typed)
    assert done.headers["location"] == f"{person}?note=rebinding_waits"
    page = (await first.get(done.headers["location"])).text
    assert "须由另一名工作人员确认后生效" in page
    request = link(page, f"{person}/rebindings/")
    own = (await first.get(request)).text
    assert ("撤回申请" in own, "确认更换" in own) == (True, False)

    listed = (await second.get(LIST)).text
    assert request in listed
    assert str(citizen.card["name"]) not in listed
    assert (await second.get(request)).headers["location"].startswith(f"{person}/reason?next=")
    await attend(second, citizen.id)
    page = (await second.get(request)).text
    assert all(
        text in page for text in ("确认更换", "拒绝", f"{phone[:3]}****{phone[-4:]}", "读取证件后又按证件号码查找")
    )
    assert (await second.submit(request, decision="anything")).status_code == 422
    done = await second.submit(request, decision=decision)
    assert done.headers["location"].startswith(f"{LIST}?note=rebinding_")
    after = (await second.get(done.headers["location"])).text
    assert (words in after, request in after) == (True, False)
    again = await second.get(request)
    assert again.headers["location"] == f"{LIST}?note=rebinding_over"
    bound = phone if decision == "confirm" else citizen.phone
    assert f"{bound[:3]}****{bound[-4:]}" in (await first.get(person)).text


async def found(desk: Browsing, number: str) -> None:
    answer = await desk.submit("/staff/find", document_type="resident_id", document_number=number)
    assert answer.status_code == 303, answer.text


def link(page: str, beginning: str) -> str:
    """The first address on the page that starts with this."""
    start = page.index(f'href="{beginning}') + len('href="')
    return page[start : page.index('"', start)]


async def test_only_clerks_see_pending_rebindings(desk_of: Desk) -> None:
    assert (await (await desk_of("operator")).get(LIST)).status_code == 404
