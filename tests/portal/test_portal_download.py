"""A person takes all of their data along: as JSON for programs, as PDF for reading."""

import pypdfium2 as pdfium

from deploy.local.samples import RECORDS
from tests.support.portal import Member
from tests.support.visits import Window


async def test_all_data_as_json(member: Member, window: Window) -> None:
    for kind, data in RECORDS:
        await member.add(kind, data)
    answer = await member.browsing.get("/account/download.json")
    assert answer.headers["content-disposition"].startswith("attachment;")
    told = answer.json()
    assert told["basic"]["document_number"] == member.citizen.number
    assert sorted(record["kind"] for record in told["records"]) == sorted(kind for kind, _ in RECORDS)
    assert told["signature"]["state"] == "none"
    assert len(told["sessions"]) == 1
    assert told["access_log"] == []


async def test_all_data_as_pdf_whatever_was_typed(member: Member) -> None:
    for kind, data in RECORDS:
        await member.add(kind, data)
    await member.add("degree", RECORDS[2][1] | {"school": "#strong[大学] $x$ 𠮷𬭎"})
    answer = await member.browsing.get("/account/download.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    pages = pdfium.PdfDocument(answer.content)
    text = "".join(page.get_textpage().get_text_range() for page in pages)
    for words in (member.citizen.number, "学历证书", "博士后", "至今", "#strong[大学] $x$ 𠮷𬭎", "登录设备"):
        assert words in text
