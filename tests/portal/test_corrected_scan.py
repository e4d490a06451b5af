"""Without script: a photo is shown as the scan that was made of it, and uploaded when the person agrees."""

import re
from typing import Any

import httpx2

from tests.support.browsing import hidden_of
from tests.support.desk_photos import desk_photo
from tests.support.people import EDUCATION
from tests.support.portal import Member
from tests.support.scans import scan
from tests.support.waiting import eventually

CERTAIN = 3
"""Seed of a photo whose sheet is found with certainty."""
TYPED = {name: value for name, value in EDUCATION.items() if value} | {"school": "很长时间才填完的学校"}
MOST_BYTES = 60_000


async def sent(member: Member, path: str, content: bytes) -> httpx2.Response:
    """The response to a file in the form of a record, in which a field was changed."""
    form = hidden_of((await member.browsing.get(path)).text, path) | TYPED | {"scan_title": "手机拍的证书"}
    files = {"file": ("photo.jpg", content, "image/jpeg")}
    return await member.browsing.ask("POST", f"{path}/attachment", data=form, files=files)


async def verdict(member: Member, record: str) -> dict[str, Any]:
    async def judged() -> dict[str, Any] | None:
        found = await member.file.call("GET", f"/api/attachments/records/{record}/attachment")
        return dict(found.json()) if found.json()["state"] != "checking" else None

    return await eventually(judged, 15, "a verdict") or {}


async def test_a_photo_is_corrected_shown_and_uploaded(member: Member) -> None:
    record = await member.add("education", EDUCATION)
    path = f"/records/{record}"
    page = await sent(member, path, desk_photo(CERTAIN).jpeg)
    assert page.status_code == 200, page.text
    assert "已从照片中裁出纸张并摆正" in page.text
    assert len(page.content) < MOST_BYTES
    [shown] = set(re.findall(r'src="(/corrections/[^"]+)"', page.text))
    assert (await member.browsing.get(shown)).headers["content-type"] == "image/jpeg"
    form = hidden_of(page.text, f"{path}/attachment/corrected")
    assert (await member.browsing.ask("POST", f"{path}/attachment/corrected", data=form)).status_code == 303
    found = await verdict(member, record)
    assert (found["state"], found["title"], found["warnings"]) == ("accepted", "手机拍的证书", [])
    assert 'value="很长时间才填完的学校"' in (await member.browsing.get(path)).text


async def test_another_photo_can_be_chosen_without_losing_what_was_typed(member: Member) -> None:
    path = f"/records/{await member.add('education', EDUCATION)}"
    form = hidden_of((await sent(member, path, scan(200))).text, f"{path}/attachment/corrected")
    back = await member.browsing.ask("POST", f"{path}/leave", data=form | {"to": f"{path}#attachment"})
    assert back.headers["location"] == f"{path}#attachment"
    assert 'value="很长时间才填完的学校"' in (await member.browsing.get(path)).text


async def test_a_file_that_is_no_image_is_refused_with_what_was_typed(member: Member) -> None:
    path = f"/records/{await member.add('education', EDUCATION)}"
    for content, advice in ((b"%PDF-1.7", "PDF"), (b"\0\0\0\x18ftypheic", "兼容性最佳"), (b"text", "不是图片")):
        answer = await sent(member, path, content)
        assert answer.status_code == 415
        assert advice in answer.text
        assert 'value="很长时间才填完的学校"' in answer.text


async def test_a_corrected_scan_that_has_expired_is_explained(member: Member) -> None:
    path = f"/records/{await member.add('education', EDUCATION)}"
    form = hidden_of((await sent(member, path, scan(200))).text, f"{path}/attachment/corrected")
    gone = form | {"correction": "00000000-0000-4000-8000-000000000000"}
    answer = await member.browsing.ask("POST", f"{path}/attachment/corrected", data=gone)
    assert answer.status_code == 404
    assert "处理后的图片已过期" in answer.text
    assert 'value="很长时间才填完的学校"' in answer.text
