"""Scans and their rules, without I/O: what may be uploaded, how a scan is judged, its transitions."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from kit.core.errors import AppError
from kit.core.ids import new_id
from kit.files.documents import EncryptedFileDocument, Remark
from kit.formats.images import Scan, Size

State = Literal["checking", "accepted", "refused", "deleted"]
LIVE: tuple[State, ...] = ("checking", "accepted", "refused")
FOLDERS = "scans"

WITH_SCAN = frozenset({"education", "degree", "title", "skill_certificate"})
"""The kinds of record that have a scan (guide §5.2–5.5); the same as `attachment` in records' `GET /kinds`."""

CARD_MM = 80
"""The long side of the smallest certificate, a card."""
A3_MM = (420, 297)
"""The sides of the largest certificate."""
TOLERANCE = 1.05  # scanners add a margin
INCH_MM = 25.4
INK_OVER_GRAIN = 2


class Rules(BaseModel):
    """The guide's limits (§5.2): 72–100 dpi, 1:1, JPG, less than 300 kB; and the limits of warnings.

    1:1 means scanned at the size of the original, with the same density in both directions.
    Brightness, contrast and ink range to 255; sharpness is the steepest edge as a share of the image's contrast. Ink
    is the difference from the surroundings: a page is blank with less than `blank_ink`, or with less than twice the ink
    of its calmest part (its grain); with `certain_ink` or more it is never blank (0: no page is blank).
    """

    model_config = ConfigDict(frozen=True)

    limit_bytes: int = 300 * 1024
    least_dpi: int = 72
    most_dpi: int = 100
    density_refuses: bool = True
    least_brightness: float = 70
    least_contrast: float = 6
    least_sharpness: float = 0.2
    blank_ink: float = 1.8
    certain_ink: float = 3.5


@dataclass(frozen=True)
class Verdict:
    """Refused if there are reasons; warnings do not refuse. `size` and `dpi`: None if they could not be read."""

    reasons: list[Remark]
    warnings: list[Remark]
    size: Size | None = None
    dpi: int | None = None

    @property
    def state(self) -> State:
        """The attachment's next state."""
        return "refused" if self.reasons else "accepted"


class KnownRecord(BaseModel):
    """A record's owner, kind, version and state, as records' events have them."""

    record_id: str
    practitioner_id: str
    kind: str
    version: int
    state: Literal["active", "deleted"] = "active"


class Attachment(EncryptedFileDocument):
    """A scan."""

    ROOT: ClassVar[str] = FOLDERS

    practitioner_id: str
    record_id: str
    kind: str
    title: str
    state: State = "checking"
    reasons: list[Remark] = Field(default=[])
    warnings: list[Remark] = Field(default=[])
    sha256: str
    size: int
    width: int | None = None
    height: int | None = None
    dpi: int | None = None
    seen: bool = False
    """Whether its owner has seen that it was refused."""

    @classmethod
    def uploaded(cls, record: KnownRecord, title: str, content: bytes, *, sealed: bool, at: datetime, by: str) -> Self:
        """A new scan of the record, to be checked."""
        return cls.first(
            at=at, by=by, action="uploaded",
            id=new_id(), practitioner_id=record.practitioner_id, record_id=record.record_id, kind=record.kind,
            title=title, sha256=hashlib.sha256(content).hexdigest(), size=len(content), folder=cls.new_folder(),
            sealed=sealed,
        )  # fmt: skip

    def judged(self, verdict: Verdict, *, at: datetime, by: str) -> Self:
        """The check has decided."""
        size = verdict.size
        changes = {
            "state": verdict.state, "reasons": verdict.reasons, "warnings": verdict.warnings,
            "width": size and size.width, "height": size and size.height, "dpi": verdict.dpi,
        }  # fmt: skip
        return self.next_version(changes, at=at, by=by, action=verdict.state)

    def seen_by_owner(self, *, at: datetime, by: str) -> Self:
        """Its owner has seen that it was refused."""
        return self.next_version({"seen": True}, at=at, by=by, action="seen")

    def deleted(self, *, at: datetime, by: str) -> Self:
        """It is deleted; the worker removes its files."""
        return self.next_version({"state": "deleted"}, at=at, by=by, action="deleted")

    @property
    def image(self) -> str:
        """The object key of the clean copy."""
        return f"{self.folder}/image"

    @property
    def thumbnail(self) -> str:
        """The object key of the clean copy's thumbnail."""
        return f"{self.folder}/thumbnail"


FAULTS = {
    "damaged": "文件已损坏，无法完整打开，请重新扫描后上传",
    "not_jpeg": "文件不是 JPG 图片，请扫描为 JPG 格式后上传",
    "too_many_pixels": "图片像素过多，请按原件大小、72~100dpi 重新扫描后上传",
    "too_costly": "文件内容异常，无法处理，请重新扫描后上传",
    "check_failed": "文件未能完成检查，请删除后重新扫描并上传",
    "lost": "文件保存出错，请删除后重新上传",
}


def faulty(code: str) -> Verdict:
    """The verdict on a file that could not be measured."""
    return Verdict([Remark(code=code, message=FAULTS[code])], [])


UNREADABLE = {
    "heic": (
        "这是 HEIC 照片（苹果手机的默认格式），暂时无法处理。请在手机“设置—相机—格式”中选择“兼容性最佳”后重新拍照，"
        "或将照片存为 JPG 后再选择"
    ),
    "pdf": "这是 PDF 文件，暂时无法处理。请将这一页存为 JPG 图片后再选择，或打印出来用手机拍照",
    "not_image": "文件不是图片，请选择手机拍摄的照片，或扫描为 JPG 格式的图片",
    "damaged": "图片已损坏，无法完整打开，请重新拍照或扫描",
    "too_many_pixels": "图片像素过多，请将手机相机调到 4800 万像素以下后重新拍照；PNG 图片请先存为 JPG",
    "too_costly": "图片内容异常，无法处理，请重新拍照或扫描",
    "not_jpeg": "图片已损坏，无法完整打开，请重新拍照或扫描",
}
"""Why no scan can be made of a file, and what to do."""
NOT_IMAGES = ("heic", "pdf", "not_image")


def unreadable(code: str) -> AppError:
    """The error for a file of which no scan can be made: 415 for its format, otherwise 422."""
    return AppError(415 if code in NOT_IMAGES else 422, code, UNREADABLE[code])


def judge(scan: Scan, rules: Rules) -> Verdict:
    """The verdict on a measured scan."""
    dpi = _dpi(scan, rules)
    density = _density(scan, dpi, rules)
    blank = _blank(scan, rules)
    content = [] if blank else _content(scan, rules)
    reasons = [*density, *blank] if rules.density_refuses else blank
    warnings = [*_missing(scan), *_paper(scan, rules), *content]
    return Verdict(reasons, warnings if rules.density_refuses else [*density, *warnings], scan.size, dpi)


def _dpi(scan: Scan, rules: Rules) -> int | None:
    """The density that the scanner was set to; within the precision of the stored value, an allowed one."""
    if scan.density is None:
        return None
    across = scan.density.across
    allowed = min(max(across, rules.least_dpi), rules.most_dpi)
    return round(allowed if abs(allowed - across) <= scan.density.room else across)


def _density(scan: Scan, dpi: int | None, rules: Rules) -> list[Remark]:
    if scan.density is None or dpi is None:
        return []
    across, down = scan.density.across, scan.density.down
    advice = f"请将扫描仪设为 {rules.least_dpi}~{rules.most_dpi}dpi、原件大小（1:1）后重新扫描"
    if round(across) != round(down):
        message = f"图片横向 {across:.0f}dpi、纵向 {down:.0f}dpi，比例不是 1:1，{advice}"
        return [Remark(code="density_unequal", message=message)]
    if not rules.least_dpi <= dpi <= rules.most_dpi:
        return [Remark(code="density_out_of_range", message=f"图片分辨率为 {dpi}dpi，{advice}")]
    return []


def _blank(scan: Scan, rules: Rules) -> list[Remark]:
    """A reason if the page has no text, stamp or drawing, only paper, shadow and grain."""
    message = (
        "图片是空白的：除纸张底色、阴影和噪点外，没有找到文字、印章或图案。"
        "请确认有内容的一面朝向镜头、镜头没有被遮住，重新扫描或拍照后上传；字迹很淡的，请调高对比度"
    )
    blank = scan.ink < min(rules.certain_ink, max(rules.blank_ink, INK_OVER_GRAIN * scan.grain))
    return [Remark(code="blank", message=message)] if blank else []


def _missing(scan: Scan) -> list[Remark]:
    message = "图片没有注明分辨率，无法核对；如不是按原件大小扫描，请重新扫描后上传"
    return [Remark(code="density_missing", message=message)] if scan.density is None else []


def _paper(scan: Scan, rules: Rules) -> list[Remark]:
    """A warning if the original would be smaller than a card or larger than A3, at the stored or any allowed density.

    Many phones store 72 dpi in every photo; by that value a certificate is a metre wide.
    """
    width = scan.size.width
    height = scan.size.height
    density = scan.density
    lowest, highest = (density.across, density.down) if density else (rules.least_dpi, rules.most_dpi)
    longest, shortest = max(width, height), min(width, height)
    long_side, short_side = (side / INCH_MM * highest * TOLERANCE for side in A3_MM)  # pixels
    if CARD_MM / INCH_MM * lowest <= longest <= long_side and shortest <= short_side:
        return []
    message = f"图片为 {width}×{height} 像素{_original_size(scan)}，与证书原件大小不符，请确认按原件大小（1:1）扫描"
    return [Remark(code="size_implausible", message=message)]


def _original_size(scan: Scan) -> str:
    if scan.density is None:
        return ""
    across, down = scan.size.width / scan.density.across * INCH_MM, scan.size.height / scan.density.down * INCH_MM
    return f"，按注明的 {scan.density.across:.0f}dpi 原件有 {across:.0f}×{down:.0f} 毫米"


def _content(scan: Scan, rules: Rules) -> list[Remark]:
    if scan.contrast < rules.least_contrast:
        message = f"图片几乎是空白的（反差 {scan.contrast:.1f}），请确认原件放置正确、没有扫到背面"
        return [Remark(code="nearly_blank", message=message)]
    remarks = []
    if scan.brightness < rules.least_brightness:
        message = f"图片过暗（亮度 {scan.brightness:.0f}/255），请调高亮度后重新扫描"
        remarks.append(Remark(code="too_dark", message=message))
    if scan.sharpness < rules.least_sharpness:
        message = f"图片模糊（清晰度 {scan.sharpness:.2f}），请放平原件后重新扫描"
        remarks.append(Remark(code="blurred", message=message))
    return remarks
