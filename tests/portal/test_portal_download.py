"""A person exports all of their data: JSON for programs, PDF for reading, ZIP with every image."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx2
import pypdfium2 as pdfium
import pytest

from deploy.local.samples import RECORDS
from tests.support.identity_clients import Window
from tests.support.people import EDUCATION
from tests.support.portal import Member, let_token_run_out
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

MEGABYTE = 1024


async def test_all_data_as_json(member: Member, window: Window) -> None:
    for kind, data in RECORDS:
        await member.add(kind, data)
    answer = await member.browsing.get("/account/download.json")
    assert answer.headers["content-disposition"].startswith("attachment;")
    data = answer.json()
    assert data["basic"]["document_number"] == member.citizen.number
    assert sorted(record["kind"] for record in data["records"]) == sorted(kind for kind, _ in RECORDS)
    assert data["certificate"]["state"] == "active"
    assert data["certificate"]["phone_hint"][-4:] == member.citizen.phone[-4:]
    assert data["certificate"]["created_at"]
    assert data["signature"]["state"] == "none"
    assert len(data["sessions"]) == 1
    assert data["access_log"] == []


async def test_all_data_as_pdf_with_any_text(member: Member) -> None:
    for kind, data in RECORDS:
        await member.add(kind, data)
    await member.add("degree", RECORDS[2][1] | {"school": "#strong[大学] $x$ 𠮷𬭎"})
    answer = await member.browsing.get("/account/download.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    text = read(answer.content)
    for words in (member.citizen.number, "学历证书", "博士后", "至今", "#strong[大学] $x$ 𠮷𬭎", "登录设备"):
        assert words in text
    certificate = (await member.browsing.get("/account/download.json")).json()["certificate"]
    for words in ("个人数字证书", certificate["certificate_no"], certificate["phone_hint"], "有效"):
        assert words in text


def read(pdf: bytes) -> str:
    return "".join(page.get_textpage().get_text_range() for page in pdfium.PdfDocument(pdf))


async def test_rendering_pdfs_does_not_leak_memory(member: Member, processes: Processes) -> None:
    await member.browsing.get("/account/download")
    before = resident(await processes.pid("portal-api"))
    for _ in range(3):
        assert (await member.browsing.get("/account/download.pdf")).status_code == 200
    assert resident(await processes.pid("portal-api")) - before < 30 * MEGABYTE


def resident(pid: int) -> int:
    """The resident memory of a process, in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def with_scan(member: Member, stack: RunningStack) -> str:
    """Creates an education record and another with an accepted scan. Returns the scan's id."""
    record = await member.add("education", EDUCATION)
    await member.add("education", EDUCATION | {"school": "另一所学校"})
    form: dict[str, Any] = {"files": {"file": ("a.jpg", scan(96))}, "data": {"title": "学历证书"}}
    sent = await member.file.call("POST", f"/api/attachments/records/{record}/attachment", **form)

    async def accepted() -> bool:
        found = (await member.file.call("GET", f"/api/records/records/{record}")).json()["attachment"]
        return bool(found and found["state"] == "accepted")

    await eventually(accepted, 30, "the scan is accepted")
    return str(sent.json()["attachment_id"])


async def test_everything_as_zip(member: Member, stack: RunningStack) -> None:
    attachment = await with_scan(member, stack)
    await let_token_run_out(stack, member.browsing)
    answer = await member.browsing.get("/account/download.zip")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].endswith('.zip"')
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["data.json", "practitioner.pdf", "portrait.jpg", "scans/education-2.jpg"]
        data = json.loads(archive.read("data.json"))
        assert data["pictures"] == {"portrait.jpg": "portrait", "scans/education-2.jpg": attachment}
        assert member.citizen.number in read(archive.read("practitioner.pdf"))
        for path, address in (
            ("scans/education-2.jpg", f"/attachments/{attachment}/image"),
            ("portrait.jpg", "/portrait"),
        ):
            assert archive.read(path) == (await member.browsing.get(address)).content


async def test_a_zip_with_a_missing_image_is_not_completed(
    member: Member, stack: RunningStack, processes: Processes
) -> None:
    await with_scan(member, stack)
    async with processes.down("attachments-api"):
        with pytest.raises(httpx2.RemoteProtocolError):
            await member.browsing.get("/account/download.zip")
    await processes.ready(stack.facts["services"]["attachments"]["internal"])
