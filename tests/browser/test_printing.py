"""Any page on paper: complete, black on white, without controls."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import pytest_asyncio

from deploy.local.samples import RECORDS
from kit.security.tokens import TokenIssuer
from tests.records.test_kinds import CREDIT, PROJECT, REGISTRATION
from tests.support.browsing import Browsing
from tests.support.dead_letters import DEAD_LETTER_GROUP, store_dead_letter
from tests.support.identity_clients import LoginPage, Window
from tests.support.portal import Member, import_record, member_of
from tests.support.screens import Screen, Windows
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, attend

A4 = {"width": 703, "height": 1017}
"""Pixels of a sheet of A4 between its margins (style.css)."""
OWN = (
    "/", "/file/basic", "/file/education", "/file/title", "/file/registration", "/file/skill_certificate",
    "/file/work_experience", "/file/project", "/file/credit", "/file/signature", "/file/education/new",
    "/account/sessions", "/account/looks", "/account/download", "/help", "/records/{record}",
    "/records/{record}/delete",
)  # fmt: skip
PERSON = ("", "/file/education", "/file/registration", "/file/signature", "/certificate/rebind")
PRESSED = "button, nav, .menu, .button, input[type=file], td[data-label='操作'], a[href^='/records/']"


@dataclass(frozen=True)
class Printed:
    """Browsers with content on every page."""

    own: Member
    admin: Browsing
    paths: tuple[str, ...]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def printed(
    stack: RunningStack, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer,
    desk_of: Desk,
) -> AsyncIterator[Printed]:  # fmt: skip
    """A person with ten records of each kind, and an admin who reads them."""
    own, admin = await member_of(window, login_page, gateway, issuer), await desk_of("admin")
    for kind, data in RECORDS * 10:
        await own.add(kind, data)
    for kind, data in (("registration", REGISTRATION), ("project", PROJECT), ("credit", CREDIT)):
        await import_record(stack, own.citizen.id, kind, data)
    dead_letter = await store_dead_letter(stack, cause="Reject: an event without data")
    await attend(admin, own.citizen.id)
    people = tuple(f"/staff/people/{own.citizen.id}{path}" for path in PERSON)
    operators = ("/operators", "/operators/messages?state=", f"/operators/letters/{DEAD_LETTER_GROUP}?id={dead_letter}")
    yield Printed(own, admin, people + operators + ("/staff/find", "/staff/register/passport"))


async def on_paper(screen: Screen, path: str) -> None:
    await screen.open(path)
    await screen.page.emulate_media(media="print")
    await screen.page.set_viewport_size(A4)  # type: ignore[arg-type]
    page, problems = screen.page, []
    if pressed := await page.locator(f"{PRESSED} >> visible=true").all_inner_texts():
        problems.append(f"can only be pressed: {pressed}")
    if wide := await page.evaluate(TOO_WIDE, A4["width"]):
        problems.append(f"cut at the edge: {wide}")
    shown = await page.evaluate("[...document.querySelectorAll('table')].map(one => getComputedStyle(one).display)")
    if set(shown) - {"table"}:
        problems.append("a table as cards")
    if coloured := await page.evaluate(COLOURED):
        problems.append(f"in colour: {coloured}")
    await screen.paper(path.partition("?")[0].strip("/").replace("/", "-") or "home")
    assert problems == [], path


TOO_WIDE = """width => [...document.querySelectorAll("body *")]
    .filter(one => one.checkVisibility() && !one.closest(".unseen") && one.getBoundingClientRect().right > width + 1)
    .map(one => one.outerHTML.slice(0, 80))"""
COLOURED = """() => [...document.querySelectorAll("body, body *")]
    .filter(one => one.checkVisibility() && one.innerText?.trim() && one.tagName !== "CANVAS")
    .filter(one => {
        const style = getComputedStyle(one);
        const paper = ["rgba(0, 0, 0, 0)", "rgb(255, 255, 255)"].includes(style.backgroundColor);
        return style.color !== "rgb(0, 0, 0)" || !paper;
    })
    .map(one => one.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("path", OWN)
async def test_a_page_of_a_person_on_paper(desk: Screen, printed: Printed, path: str) -> None:
    await desk.be(printed.own.browsing)
    record = (await printed.own.records("title"))[0]["record_id"]
    await on_paper(desk, path.format(record=record))


async def test_the_pages_of_staff_on_paper(desk: Screen, printed: Printed) -> None:
    await desk.be(printed.admin)
    for path in printed.paths:
        await on_paper(desk, path)


async def test_a_page_without_a_session_on_paper(desk: Screen) -> None:
    for path in ("/login", "/staff/login"):
        await on_paper(desk, path)


async def test_a_table_repeats_its_heading_on_each_sheet_and_splits_no_record(desk: Screen, printed: Printed) -> None:
    await desk.be(printed.own.browsing)
    await desk.open("/file/education")
    await desk.page.emulate_media(media="print")
    style = "one => { const style = getComputedStyle(one); return [style.display, style.breakInside]; }"
    assert (await desk.page.locator("thead").first.evaluate(style))[0] == "table-header-group"
    assert (await desk.page.locator("tbody tr").first.evaluate(style))[1] == "avoid"


async def test_a_phone_prints_tables_as_tables(windows: Windows, printed: Printed) -> None:
    async with windows.screen("phone") as phone:
        await phone.be(printed.own.browsing)
        await on_paper(phone, "/file/education")
