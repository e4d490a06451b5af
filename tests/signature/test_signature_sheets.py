"""The signature sheet: its content, the names that can be printed, and its validity."""

from datetime import UTC, datetime, timedelta

import cv2
import httpx2
import numpy as np
import pytest
import zxingcpp

from kit.core.clock import ManualClock
from kit.formats.pdf import FontSettings
from services.signature.sheets.layout import LAYOUT, PATTERNS, QR, VERSION, code_text, sheet_id_of
from services.signature.sheets.printing import INSTRUCTIONS, Printing
from tests.signature.conftest import OWN, NewSigner, Signer, rasterised, text_of
from tests.support import own_services
from tests.support.identity_clients import Window
from tests.support.problems import problem
from tests.support.sheets import marker
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

KEY = bytes(range(32))
RARE = "\U0002ebf0"  # added in Unicode 15.1: in none of the fonts
NAMES = ["欧阳娜娜", "阿卜杜拉·买买提", "𠮷野", "龘䶮𬭎", "欧阳𠮷野龘䶮𬭎阿卜杜" * 5]


def shown(text: str) -> str:
    """The text without the spaces and line breaks of the layout."""
    return "".join(text.split())


async def test_the_sheet_shows_its_person_and_the_instructions(signer: Signer) -> None:
    form = await signer.form()
    response = await signer.person.call("GET", form["pdf_url"])
    assert response.headers["Content-Type"] == "application/pdf"
    assert response.headers["Cache-Control"] == "no-store"
    assert b"pdfaid:part" in response.content, "PDF/A, for archives"
    text = shown(text_of(response.content))
    for words in ("上海市建设工程企业从业人员签名信息采集表", signer.citizen.card["name"], signer.citizen.number):
        assert words in text
    assert form["form_id"] in text
    assert all(shown(sentence) in text for sentence in INSTRUCTIONS)
    assert (await signer.form()) == form, "asked for again, it is the same sheet"
    assert await signer.pdf() == response.content


async def test_after_half_its_validity_a_new_sheet_is_printed(
    signer: Signer, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(datetime.now(UTC) - timedelta(days=100))
    async with own_services.signature(stack, monkeypatch, clock) as http:
        signer.person.http, gateway = http, signer.person.http
        old = await signer.form()
    signer.person.http = gateway
    assert (await signer.form())["form_id"] != old["form_id"]
    assert (await signer.person.call("GET", old["pdf_url"])).status_code == 200, "it still holds"


@pytest.mark.parametrize("name", NAMES)
async def test_names_that_can_be_printed(signer: Signer, window: Window, name: str) -> None:
    assert (await window.read_card(signer.citizen, name=name)).status_code == 200
    assert shown(name) in shown(text_of(await signer.pdf()))


async def test_every_glyph_of_a_name_comes_from_a_font() -> None:
    printing = Printing(FontSettings(), KEY)
    assert await printing.missing("".join(NAMES)) == ""
    assert await printing.missing(f"王{RARE}x{RARE}") == RARE
    with pytest.raises(RuntimeError, match="No Such Font"):
        await Printing(FontSettings(families=("No Such Font",)), KEY).ready()


async def test_a_name_without_glyphs_is_reported_before_printing(signer: Signer, window: Window) -> None:
    assert (await window.read_card(signer.citizen, name=f"王{RARE}")).status_code == 200
    body = problem(await signer.person.call("POST", f"{OWN}/forms"), 409, "name_not_printable")
    assert RARE in body["detail"]


async def test_a_sheet_with_a_former_name_is_outdated(signer: Signer, window: Window) -> None:
    old = await signer.form()
    await window.read_card(signer.citizen, address="上海市某路2号")
    assert (await signer.form())["form_id"] == old["form_id"], "where somebody lives stands on no form"
    await window.read_card(signer.citizen, name="王新名")

    async def gone() -> bool:
        return (await signer.person.call("GET", old["pdf_url"])).status_code == 410

    await eventually(gone, 20, "the form is stale")
    problem(await signer.person.call("GET", old["pdf_url"]), 410, "form_outdated")
    assert "王新名" in text_of(await signer.pdf())


async def test_only_the_person_prints_and_sees_their_sheet(
    signer: Signer, new_signer: NewSigner, gateway: httpx2.AsyncClient
) -> None:
    url, another = (await signer.form())["pdf_url"], await new_signer()
    problem(await another.person.call("GET", url), 404, "not_found")
    problem(await gateway.get(url), 401, "unauthorized")
    problem(await gateway.post(f"{OWN}/forms"), 401, "unauthorized")


def test_the_printed_markers_are_those_that_are_detected() -> None:
    for name, pattern in PATTERNS.items():
        assert [[int(cell) for cell in row] for row in pattern] == marker(name)
    assert PATTERNS.keys() == LAYOUT.markers.keys()


async def test_the_qr_code_can_be_read_and_not_forged() -> None:
    form_id, now = "0f8fad5b-d9cb-469f-a165-70867728950e", datetime.now(UTC)
    page = rasterised(await Printing(FontSettings(), KEY).pdf(form_id, "王某", "1", now, now))
    picture = cv2.imdecode(np.frombuffer(page, np.uint8), cv2.IMREAD_GRAYSCALE)
    (code,) = zxingcpp.read_barcodes(picture)
    assert code.text == code_text(form_id, KEY)
    where = (code.position.top_left.x / 200 * 25.4, code.position.top_left.y / 200 * 25.4)
    assert QR.left < where[0] < QR.left + QR.width, where
    assert QR.top < where[1] < QR.top + QR.height, where
    assert sheet_id_of(code.text, KEY) == form_id
    assert sheet_id_of(code.text, bytes(32)) is None
    for at in range(len(code.text)):
        other = "B" if code.text[at] != "B" else "C"
        assert sheet_id_of(code.text[:at] + other + code.text[at + 1 :], KEY) is None
    for text in ("", "QM", f"QM{VERSION}", "https://example.org/", "上海", "A" * 55, code.text[:-1], code.text * 2):
        assert sheet_id_of(text, KEY) is None
