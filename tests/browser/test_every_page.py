"""Every page on a phone and a desktop: no serious axe finding, sideways scrolling or small target, few bytes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Response

from deploy.local.samples import RECORDS
from kit.security.tokens import TokenIssuer
from tests.records.test_kinds import CREDIT, PROJECT, REGISTRATION
from tests.support.identity_clients import LoginPage, Window
from tests.support.people import EDUCATION
from tests.support.portal import Member, import_record, member_of
from tests.support.scans import scan
from tests.support.screens import MOST_BYTES, MOST_REQUESTS, Screen
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

PAGES = (
    "/", "/file/basic", "/file/education", "/file/title", "/file/registration", "/file/skill_certificate",
    "/file/work_experience", "/file/project", "/file/credit", "/file/signature", "/file/education/new",
    "/file/work_experience/new", "/account/sessions", "/account/looks", "/account/download", "/account/proof",
    "/help", "/nothing",
)  # fmt: skip
OPEN = ("/login", "/help", "/nothing")
LONG_NAME = "阿卜杜拉·买买提𠮷𬭎𫖯𠀀" + "长" * 38


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full(
    stack: RunningStack, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> AsyncIterator[Member]:
    """A person with content on every page, and a name of the maximum length."""
    citizen = await window.enrolled()
    assert (await window.read_card(citizen, name=LONG_NAME)).status_code == 200
    member = await member_of(window, login_page, gateway, issuer, citizen)
    for kind, data in RECORDS:
        await member.add(kind, data)
    for kind, data in (("registration", REGISTRATION), ("project", PROJECT), ("credit", CREDIT)):
        await import_record(stack, member.citizen.id, kind, data)
    yield member


@dataclass
class Load:
    """What was transferred for a page."""

    bytes: int = 0
    requests: int = 0


async def load(screen: Screen, path: str) -> Load:
    """Opens a page and measures it: compressed, without photos."""
    arrived: list[Response] = []

    def note(response: Response) -> None:
        arrived.append(response)

    screen.page.on("response", note)
    await screen.open(path)
    screen.page.remove_listener("response", note)
    found = Load(requests=len(arrived))
    for response in arrived:
        if response.headers.get("content-type") != "image/jpeg":
            found.bytes += (await response.request.sizes())["responseBodySize"]
    return found


async def looked_at(screen: Screen, path: str, name: str) -> None:
    weight = await load(screen, path)
    await screen.picture(name)
    assert await screen.grave_findings() == []
    assert not await screen.is_wider_than_its_window()
    assert await screen.small_targets() == []
    assert weight.bytes <= MOST_BYTES
    assert weight.requests <= MOST_REQUESTS


@pytest.mark.parametrize("path", OPEN)
async def test_a_public_page(window_of: Screen, path: str) -> None:
    await looked_at(window_of, path, f"open{path.replace('/', '-')}")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_of_a_person_with_a_full_dossier(window_of: Screen, full: Member, path: str) -> None:
    await window_of.be(full.browsing)
    await looked_at(window_of, path, f"own{path.replace('/', '-')}")


async def test_the_pages_of_a_record(window_of: Screen, full: Member) -> None:
    await window_of.be(full.browsing)
    record = (await full.records("title"))[0]["record_id"]
    await looked_at(window_of, f"/records/{record}", "record")
    await looked_at(window_of, f"/records/{record}/delete", "record-delete")
    credit = (await full.records("credit"))[0]["record_id"]
    await looked_at(window_of, f"/records/{credit}/dispute", "record-dispute")


async def test_every_page_in_large_type(window_of: Screen, full: Member) -> None:
    await window_of.be(full.browsing)
    await window_of.open("/file/education")
    before = await window_of.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    await window_of.press("大字版")
    assert window_of.path == "/file/education"
    assert await window_of.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 1.2 * before
    for path in ("/", "/file/education", "/file/education/new"):
        await looked_at(window_of, path, f"large{path.replace('/', '-')}")


async def test_two_hundred_percent_zoom_needs_no_sideways_scrolling(desk: Screen, full: Member) -> None:
    await desk.be(full.browsing)
    await desk.page.set_viewport_size({"width": 683, "height": 384})
    for path in PAGES:
        await desk.open(path)
        assert not await desk.is_wider_than_its_window(), path


async def test_every_page_has_a_title_of_its_own(desk: Screen, full: Member) -> None:
    await desk.be(full.browsing)
    titles = []
    for path in PAGES:
        await desk.open(path)
        titles.append(await desk.page.title())
    assert len(set(titles)) == len(PAGES)
    assert all(title.endswith(" · 从业人员自助服务") and len(title) > 12 for title in titles)


async def test_lines_have_enough_spacing(desk: Screen, full: Member) -> None:
    await desk.be(full.browsing)
    await desk.open("/file/education")
    style = "getComputedStyle(document.body)"
    assert await desk.page.evaluate(f"parseFloat({style}.lineHeight) / parseFloat({style}.fontSize)") >= 1.3


async def test_the_keyboard_alone_is_enough(desk: Screen, full: Member) -> None:
    await desk.be(full.browsing)
    await desk.open("/")
    await desk.page.keyboard.press("Tab")
    assert await desk.page.evaluate("document.activeElement.textContent") == "跳到正文"
    reached = set()
    for _ in range(60):
        await desk.page.keyboard.press("Tab")
        reached.add(await desk.page.evaluate("document.activeElement.textContent.trim()"))
        outline = await desk.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or await desk.page.evaluate("document.activeElement === document.body")
    assert {"大字版", "安全退出", "个人基本信息", "个人签名信息", "下载我的数据"} <= reached


async def test_a_person_with_an_empty_dossier(
    window_of: Screen, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    empty = await member_of(window, login_page, gateway, issuer)
    await window_of.be(empty.browsing)
    await looked_at(window_of, "/", "empty-home")
    assert "还没有填写学历证书" in await window_of.text()
    await looked_at(window_of, "/file/education", "empty-education")
    assert "还没有学位证书" in await window_of.text()


async def test_a_person_with_two_hundred_records_pages_through_them(
    desk: Screen, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    many = await member_of(window, login_page, gateway, issuer)
    for number in range(200):
        await many.add("education", EDUCATION | {"school": f"第{number}大学"})
    await desk.be(many.browsing)
    await looked_at(desk, "/", "many-home")
    assert "200 份学历证书：还没有上传附件" in await desk.text()
    await desk.open("/file/education")
    assert await desk.page.locator("tbody tr").count() == 50
    for number in (2, 3, 4):
        await desk.press("下一页")
        await desk.page.wait_for_url(f"**page={number}*")  # and until it has loaded completely
    assert "第0大学" in await desk.text()
    assert await desk.page.locator("a:has-text('下一页')").count() == 0


async def test_an_accepted_and_a_refused_scan(window_of: Screen, full: Member) -> None:
    await window_of.be(full.browsing)
    for name, content in (("accepted", scan(96, seed=1)), ("refused", scan(60, seed=2))):
        record = await full.add("degree", RECORDS[2][1])
        sent = await full.file.call(
            "POST", f"/api/attachments/records/{record}/attachment",
            files={"file": ("scan.jpg", content, "image/jpeg")}, data={"title": "学位证书扫描件"},
        )  # fmt: skip
        assert sent.status_code == 202, sent.text
        await window_of.open(f"/records/{record}")
        await window_of.page.locator("[data-done]").wait_for(timeout=20_000)
        await looked_at(window_of, f"/records/{record}", f"scan-{name}")
    await eventually(lambda: preview_of(window_of), 20, "a preview of the accepted scan")
    await looked_at(window_of, "/file/education", "scans-listed")


async def preview_of(screen: Screen) -> bool:
    """Whether the list has a preview, which then must be an image."""
    await screen.open("/file/education")
    image = screen.page.locator("td img").first
    if await image.count():
        await image.scroll_into_view_if_needed()
        assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)")
    return bool(await image.count())
