"""The rules of forms and signatures that are true without I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["checking", "accepted", "refused", "replaced"]
FormState = Literal["valid", "stale"]
JPEG = b"\xff\xd8\xff"
IDENTIFYING = frozenset({"name", "document_number", "document_type"})
"""What stands on the sheet of what identity tells."""


class Rules(BaseModel):
    """What a scan may weigh (bytes), and how much ink is a signature (mm²)."""

    model_config = ConfigDict(frozen=True)

    limit_bytes: int = 5 * 1024 * 1024
    least_ink_mm2: float = 6


class Remark(BaseModel):
    """Why a scan was refused, or what is doubtful about it: a stable code, a sentence that says what to do."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


SENTENCES = {
    "damaged": "文件已损坏，无法完整打开，请重新扫描或拍照后上传",
    "not_jpeg": "文件不是 JPG 图片，请扫描或拍照为 JPG 格式后上传",
    "too_many_pixels": "图片超过 2500 万像素，请降低分辨率后重新扫描或拍照",
    "too_costly": "文件内容异常，无法处理，请重新扫描或拍照后上传",
    "check_failed": "文件未能完成检查，请重新扫描或拍照后上传",
    "lost": "文件保存出错，请重新上传",
    "sheet_not_found": "没有找到采集表上的二维码，请将整张采集表放平、扫描或拍照清楚后重新上传",
    "sheet_unknown": "这不是本系统打印的采集表，请在“个人签名信息”中打印、签名后上传",
    "sheet_of_another": "这是其他人的采集表，请上传本人打印并签名的采集表",
    "sheet_stale": "采集表打印后姓名或证件号已变更，请重新打印、签名后上传",
    "sheet_expired": "采集表已超过有效期，请重新打印、签名后上传",
    "markers_missing": "采集表四角的定位标记不完整，请将整张采集表重新扫描或拍照后上传",
    "not_signed": "签名框内没有找到签名，请签名后重新扫描或拍照上传",
    "touches_border": "签名碰到了签名框的边线，可能不完整；如不完整，请重新打印、签名后上传",
}


def remark(code: str) -> Remark:
    """The remark with this code."""
    return Remark(code=code, message=SENTENCES[code])


@dataclass(frozen=True)
class Verdict:
    """Refused when there is a reason; warnings refuse nothing. `form_id`: the form that was recognised as ours."""

    reasons: Sequence[Remark]
    warnings: Sequence[Remark] = ()
    form_id: str | None = None

    @property
    def state(self) -> State:
        """What becomes of the signature."""
        return "refused" if self.reasons else "accepted"


def refused(code: str, form_id: str | None = None) -> Verdict:
    """Refused for one reason."""
    return Verdict([remark(code)], form_id=form_id)


@dataclass(frozen=True)
class Printed:
    """What is known of a form that came back."""

    practitioner_id: str
    practitioner_version: int
    expires_at: datetime


def form_fault(form: Printed | None, practitioner_id: str, identified: int, uploaded_at: datetime) -> str | None:
    """Why this form is not taken from this person, as a code. What was in time when it was uploaded is in time.

    `identified`: the person's version since which name and number are what they are.
    """
    if form is None:
        return "sheet_unknown"
    if form.practitioner_id != practitioner_id:
        return "sheet_of_another"
    if form.practitioner_version < identified:
        return "sheet_stale"
    return "sheet_expired" if form.expires_at <= uploaded_at else None


@dataclass(frozen=True)
class Ink:
    """What stands in the box: mm² of ink, and whether some of it touches the printed line."""

    mm2: float
    touches_border: bool


def judge(form_id: str, ink: Ink | None, rules: Rules) -> Verdict:
    """The verdict on a sheet that is the person's own; without `ink` the box was not found."""
    if ink is None:
        return refused("markers_missing", form_id)
    if ink.mm2 < rules.least_ink_mm2:
        return refused("not_signed", form_id)
    return Verdict([], [remark("touches_border")] if ink.touches_border else [], form_id)


@dataclass(frozen=True)
class Known:
    """What is known of a person: the newest version told, and the one since which name and number are what they are."""

    version: int
    identified: int


def known_after(before: Known | None, version: int, changed: Sequence[str]) -> Known:
    """What is known once identity told of a version. One that was left out may have changed name or number."""
    if before is not None and before.version >= version:
        return before
    told_all = before is not None and before.version == version - 1
    if before is None or not told_all or IDENTIFYING & set(changed):
        return Known(version, version)
    return Known(version, before.identified)
