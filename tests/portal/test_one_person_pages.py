"""The window's pages: an expired document is confirmed; a new document of a registered person continues the dossier."""

import base64
import re
from html import unescape
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from markupsafe import escape

from deploy.local.people import portrait, random_phone
from kit.security.tokens import TokenIssuer
from tests.portal.test_portal_text import HOSTILE, harmless
from tests.support.browsing import Browsing, hidden_of
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Window
from tests.support.identity_documents import Papers, passport
from tests.support.people import EDUCATION, Person
from tests.support.staffing import Desk, attend

PASSPORTS = "/staff/register/passport"
NUMBERED = ("document_number", "valid_from", "valid_to")
EXPIRED = {"valid_from": "2012-03-01", "valid_to": "2022-03-01"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clerks(desk_of: Desk) -> Browsing:
    """Browsers of clerks."""
    return await desk_of("clerk")


def typed(papers: Papers) -> dict[str, str]:
    skipped = ("source", "document_type", "reader", "portrait", "long_term")
    return {name: str(value) for name, value in papers.items() if value and name not in skipped}


def renewed(papers: Papers) -> Papers:
    return papers | {name: passport()[name] for name in NUMBERED}


async def registered(clerks: Browsing, papers: Papers) -> str:
    """Types in a person at the window. Returns their page."""
    done = await clerks.submit(PASSPORTS, **typed(papers))
    assert done.headers.get("location", "").endswith("?note=registered"), done.text
    return str(done.headers["location"]).removesuffix("?note=registered")


async def answer(clerks: Browsing, asked: httpx2.Response, papers: Papers, path: str = PASSPORTS, **more: str) -> Any:
    """Submits the form as the page returned it, with answers."""
    assert asked.status_code == 422, asked.text
    return await clerks.ask("POST", path, data=hidden_of(asked.text, path) | typed(papers) | more)


def offered(page: str) -> list[str]:
    """The dossiers that the clerk may continue; none is preselected."""
    assert not re.search(r'name="same_as"[^>]*checked', page)
    return re.findall(r'type="radio"[^>]*name="same_as" value="([^"]+)"', page)


async def test_a_renewed_passport_is_offered_the_dossier_of_the_old_one(
    clerks: Browsing, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    old, phone = passport(), random_phone()
    path = await registered(clerks, old)
    person = path.rpartition("/")[2]
    await attend(clerks, person)
    csrf = {"csrf": await clerks.csrf(f"{path}/certificate/issue")}
    await clerks.ask("POST", f"{path}/certificate/issue", data=csrf | {"phone": phone, "step": "confirmed"})
    await Person(gateway, issuer, person).created(EDUCATION)
    new = renewed(old)
    asked = await clerks.submit(PASSPORTS, **typed(new))
    assert offered(asked.text) == [person, "new"]
    number = str(old["document_number"])
    assert f"外国护照 {number[:2]}*****{number[-2:]}" in asked.text
    done = await answer(clerks, asked, new, same_as=person)
    assert done.headers["location"] == f"{path}?note=renewed"
    shown = (await clerks.get(done.headers["location"])).text
    assert "原档案、证书和记录继续有效" in shown
    assert str(new["document_number"]) in shown
    assert f"{phone[:3]}****{phone[-4:]}" in shown
    assert EDUCATION["school"] in (await clerks.get(f"{path}/file/education")).text
    for papers in (old, new):
        names = ("document_type", "document_number", "nationality")
        found = await clerks.submit("/staff/find", **{name: str(papers[name]) for name in names})
        assert found.headers["location"] == path
        citizen = Citizen(papers, phone, person)
        await login_page.forget_limits(citizen)
        browsing = Browsing(gateway)
        assert (await browsing.log_in(citizen, login_page)).headers["location"] == "/"
        assert EDUCATION["school"] in (await browsing.get("/file/education")).text


async def test_nobody_is_registered_until_the_clerk_chooses_and_input_is_kept(clerks: Browsing) -> None:
    old, photo = passport(), base64.b64decode(portrait())
    path = await registered(clerks, old)
    new = renewed(old)
    form = hidden_of((await clerks.get(PASSPORTS)).text, PASSPORTS) | typed(new)
    files = {"file": ("photo.jpg", photo, "image/jpeg")}
    asked = await clerks.ask("POST", PASSPORTS, data=form, files=files)
    for again in (asked, await answer(clerks, asked, new)):
        assert offered(again.text) == [path.rpartition("/")[2], "new"]
        summary = again.text.split('class="summary"')[1].split("</div>")[0]
        assert "请选择是否为同一人" in summary
        assert all(str(escape(text)) in again.text for text in typed(new).values())
        assert unescape(hidden_of(again.text, PASSPORTS)["portrait"]) == base64.b64encode(photo).decode()
    done = await answer(clerks, again, new, same_as="new")
    assert done.headers["location"].endswith("?note=registered")
    assert not done.headers["location"].startswith(path)
    newcomer = done.headers["location"].removesuffix("?note=registered")
    await attend(clerks, newcomer.rpartition("/")[2])
    assert (await clerks.get(f"{newcomer}/portrait")).headers["content-type"] == "image/jpeg"


async def test_an_expired_document_is_registered_when_the_clerk_confirms(clerks: Browsing) -> None:
    papers = passport() | EXPIRED
    asked = await clerks.submit(PASSPORTS, **typed(papers))
    assert "证件已过期（有效期至2022-03-01），仍要登记" in asked.text
    again = await answer(clerks, asked, papers)
    assert "请确认是否仍要登记" in again.text
    done = await answer(clerks, again, papers, document_expired="1")
    assert done.headers["location"].endswith("?note=registered")
    long_term = passport() | {"valid_to": None}
    done = await clerks.submit(PASSPORTS, **typed(long_term), long_term="1")
    assert done.headers["location"].endswith("?note=registered")


async def test_an_answer_is_valid_for_its_registration_only(clerks: Browsing) -> None:
    one, other = passport(), passport()
    first, second = await registered(clerks, one), await registered(clerks, other)
    new, other_new = renewed(one), renewed(other)
    asked = await clerks.submit(PASSPORTS, **typed(new))
    changed = await answer(clerks, asked, other_new, same_as="new")
    assert changed.status_code == 422
    assert offered(changed.text) == [second.rpartition("/")[2], "new"]
    wrong = await answer(clerks, changed, other_new, same_as=first.rpartition("/")[2])
    assert (wrong.status_code, "该证件属于另一人，没有做任何更改" in wrong.text) == (409, True)
    done = await clerks.submit(PASSPORTS, **(typed(new) | {"former_number": str(one["document_number"])}))
    assert done.headers["location"] == f"{first}?note=read_again"


async def test_an_answer_is_kept_while_another_field_is_corrected(clerks: Browsing) -> None:
    papers = passport() | EXPIRED
    asked = await clerks.submit(PASSPORTS, **typed(papers))
    damaged = base64.b64encode(b"\xff\xd8\xff" + bytes(200)).decode()
    wrong = await answer(clerks, asked, papers, document_expired="1", portrait=damaged)
    assert "照片已损坏" in wrong.text
    done = await answer(clerks, wrong, papers)
    assert done.headers["location"].endswith("?note=registered")


async def test_collecting_again_starts_from_the_stored_data(clerks: Browsing) -> None:
    papers = passport() | {"authority": "PREFECTURE DE POLICE"}
    path = await registered(clerks, papers)
    await attend(clerks, path.rpartition("/")[2])
    assert f'href="{path}/register/passport"' in (await clerks.get(path)).text
    form = f"{path}/register/passport"
    page = (await clerks.get(form)).text
    assert all(f'value="{escape(text)}"' in page for name, text in typed(papers).items() if name != "sex")
    same = await clerks.submit(form, **typed(papers | {"authority": "PREFECTURE"}))
    assert same.headers["location"] == f"{path}?note=read_again"
    new = renewed(papers)
    asked = await clerks.submit(form, **typed(new))
    assert f"证件与档案中的不同，是{papers['name']}本人换发的证件" in asked.text
    done = await answer(clerks, asked, new, form, renewed="1")
    assert done.headers["location"] == f"{path}?note=renewed"
    military = (await clerks.get(f"{path}/register/military_id")).text
    assert str(papers["name"]) in military
    assert str(new["document_number"]) not in military


async def test_the_card_of_somebody_else_changes_nothing(clerks: Browsing, window: Window) -> None:
    citizen, other, stranger = await window.registered(), await window.registered(), Citizen()
    path = f"/staff/people/{citizen.id}"
    await attend(clerks, citizen.id)
    form = f"{path}/register/card"
    assert f'href="{form}"' in (await clerks.get(path)).text
    assert f"请读取{citizen.card['name']}本人的证件" in (await clerks.get(form)).text
    before = await file_of(window, citizen.id)
    for card in (other.card, stranger.card, stranger.card | {"name": citizen.card["name"]}):
        complete = typed(card) | {"document_type": "resident_id", "device_id": "window-1", "portrait": card["portrait"]}
        refused = await clerks.submit(form, **complete)
        assert (refused.status_code, "该证件属于另一人，没有做任何更改" in refused.text) == (409, True)
    assert await file_of(window, citizen.id) == before
    own = typed(citizen.card) | {"document_type": "resident_id", "device_id": "window-1"}
    done = await clerks.submit(form, **own)
    assert done.headers["location"] == f"{path}?note=read_again"


async def file_of(window: Window, person: str) -> dict[str, Any]:
    answered = await window.clerk.call("GET", f"{WINDOW}/{person}", headers={"X-Access-Reason": "test"})
    return dict(answered.raise_for_status().json())


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_candidates_name_is_escaped(clerks: Browsing, name: str) -> None:
    old = passport() | {"name": name[:100]}
    first = await clerks.submit(PASSPORTS, **typed(old))
    if first.status_code == 303:
        asked = await clerks.submit(PASSPORTS, **typed(renewed(old)))
        assert offered(asked.text)
        harmless(asked.text)
