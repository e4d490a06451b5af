"""The rules of scans that are true without I/O: what may be uploaded, what a check makes of it, what becomes of it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from kit.core.ids import new_id
from kit.files.documents import EncryptedFileDocument
from kit.formats.images import Scan, Size

State = Literal["checking", "accepted", "refused", "deleted"]
LIVE: tuple[State, ...] = ("checking", "accepted", "refused")
FOLDERS = "scans"

JPEG = b"\xff\xd8\xff"
WITH_SCAN = frozenset({"education", "degree", "title", "skill_certificate"})
"""The kinds of record that carry a scan (guide §5.2–5.5); records tells the same at `GET /kinds`."""

SMALLEST_MM, A3_MM = 80, (420, 297)
"""The long side of the smallest certificate, which is a card; both sides of the largest paper that is scanned whole."""
TOLERANCE = 1.05  # scanners add a margin
INCH_MM = 25.4
INK_OVER_GRAIN = 2


class Rules(BaseModel):
    """The guide's limits (§5.2): 72–100 dpi, 1:1, JPG, less than 300 kB; and what a check warns of.

    1:1 means scanned at the original's size: the picture need not be square, its dots must be.
    Brightness, contrast and ink are of 255; sharpness is the steepest edge as a share of the picture's contrast. Ink is
    what stands out from its surroundings: a page is blank when it has less than `blank_ink`, or less than twice as much
    as its calmest part (grain); `certain_ink` is ink whatever the grain (0: no page is blank).
    """

    model_config = ConfigDict(frozen=True)

    limit_bytes: int = 300 * 1024
    least_dpi: int = 72
    most_dpi: int = 100
    density_refuses: bool = True
    least_brightness: float = 70
    least_contrast: float = 6
    least_sharpness: float = 0.2
    blank_ink: float = 1.6
    certain_ink: float = 3.5


class Remark(BaseModel):
    """Why a scan was refused, or what is doubtful about it: a stable code, a sentence that says what to do."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """Refused when there is a reason; warnings refuse nothing. `size` and `dpi`: None where they could not be read."""

    reasons: list[Remark]
    warnings: list[Remark]
    size: Size | None = None
    dpi: int | None = None

    @property
    def state(self) -> State:
        """What becomes of the attachment."""
        return "refused" if self.reasons else "accepted"


class KnownRecord(BaseModel):
    """Whose record it is, of which kind, and whether it is there; `version` is the record's."""

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
    """Whether its owner has looked at it since it was refused."""

    @classmethod
    def uploaded(cls, record: KnownRecord, title: str, content: bytes, *, sealed: bool, at: datetime, by: str) -> Self:
        """A scan of the record, to be checked."""
        return cls.first(
            at=at, by=by, action="uploaded",
            id=new_id(), practitioner_id=record.practitioner_id, record_id=record.record_id, kind=record.kind,
            title=title, sha256=hashlib.sha256(content).hexdigest(), size=len(content), folder=cls.new_folder(),
            sealed=sealed,
        )  # fmt: skip

    def judged(self, verdict: Verdict, *, at: datetime, by: str) -> Self:
        """The check is done."""
        size, remarks = verdict.size, {"reasons": verdict.reasons, "warnings": verdict.warnings}
        measures = {"width": size and size.width, "height": size and size.height, "dpi": verdict.dpi}
        state = verdict.state
        return self.next_version({"state": state, **remarks, **measures}, at=at, by=by, action=state)

    def seen_by_owner(self, *, at: datetime, by: str) -> Self:
        """Its owner has learned that it was refused."""
        return self.next_version({"seen": True}, at=at, by=by, action="seen")

    def deleted(self, *, at: datetime, by: str) -> Self:
        """It is the record's no longer; its files follow."""
        return self.next_version({"state": "deleted"}, at=at, by=by, action="deleted")

    @property
    def image(self) -> str:
        """The key of the clean picture."""
        return f"{self.folder}/image"

    @property
    def thumbnail(self) -> str:
        """The key of the small clean picture."""
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


def judge(scan: Scan, rules: Rules) -> Verdict:
    """The verdict on a picture."""
    dpi = _dpi(scan, rules)
    density, blank = _density(scan, dpi, rules), _blank(scan, rules)
    reasons, doubts = (density, []) if rules.density_refuses else ([], density)
    content = [] if blank else _content(scan, rules)
    warnings = [*doubts, *_missing(scan), *_paper(scan, rules), *content]
    return Verdict([*reasons, *blank], warnings, scan.size, dpi)


def _dpi(scan: Scan, rules: Rules) -> int | None:
    """The density that the scanner was set to: of those that are written alike, one that is allowed."""
    if scan.density is None:
        return None
    across = scan.density.across
    allowed = min(max(across, rules.least_dpi), rules.most_dpi)
    return round(allowed if abs(allowed - across) <= scan.density.room else across)


def _density(scan: Scan, dpi: int | None, rules: Rules) -> list[Remark]:
    if scan.density is None or dpi is None:
        return []
    across, down = scan.density.across, scan.density.down
    wanted = f"请将扫描仪设为 {rules.least_dpi}~{rules.most_dpi}dpi、原件大小（1:1）后重新扫描"
    if round(across) != round(down):
        told = f"图片横向 {across:.0f}dpi、纵向 {down:.0f}dpi，比例不是 1:1，{wanted}"
        return [Remark(code="density_unequal", message=told)]
    if not rules.least_dpi <= dpi <= rules.most_dpi:
        return [Remark(code="density_out_of_range", message=f"图片分辨率为 {dpi}dpi，{wanted}")]
    return []


def _blank(scan: Scan, rules: Rules) -> list[Remark]:
    """Nothing is on the page: no text, stamp or drawing, only paper, shadow and grain."""
    told = (
        "图片是空白的：除纸张底色、阴影和噪点外，没有找到文字、印章或图案。"
        "请确认有内容的一面朝向镜头、镜头没有被遮住，重新扫描或拍照后上传；字迹很淡的，请调高对比度"
    )
    blank = scan.ink < min(rules.certain_ink, max(rules.blank_ink, INK_OVER_GRAIN * scan.grain))
    return [Remark(code="blank", message=told)] if blank else []


def _missing(scan: Scan) -> list[Remark]:
    told = "图片没有注明分辨率，无法核对；如不是按原件大小扫描，请重新扫描后上传"
    return [Remark(code="density_missing", message=told)] if scan.density is None else []


def _paper(scan: Scan, rules: Rules) -> list[Remark]:
    """No smaller than a card, no larger than A3, at the picture's density or else at any that is allowed.

    Many phones write 72 dpi into every photo: by that a certificate is a metre wide.
    """
    width, height, density = scan.size.width, scan.size.height, scan.density
    lowest, highest = (density.across, density.down) if density else (rules.least_dpi, rules.most_dpi)
    longest, shortest = max(width, height), min(width, height)
    long_side, short_side = (side / INCH_MM * highest * TOLERANCE for side in A3_MM)  # pixels
    if SMALLEST_MM / INCH_MM * lowest <= longest <= long_side and shortest <= short_side:
        return []
    told = f"图片为 {width}×{height} 像素{_said(scan)}，与证书原件大小不符，请确认按原件大小（1:1）扫描"
    return [Remark(code="size_implausible", message=told)]


def _said(scan: Scan) -> str:
    if scan.density is None:
        return ""
    across, down = scan.size.width / scan.density.across * INCH_MM, scan.size.height / scan.density.down * INCH_MM
    return f"，按注明的 {scan.density.across:.0f}dpi 原件有 {across:.0f}×{down:.0f} 毫米"


def _content(scan: Scan, rules: Rules) -> list[Remark]:
    if scan.contrast < rules.least_contrast:
        told = f"图片几乎是空白的（反差 {scan.contrast:.1f}），请确认原件放置正确、没有扫到背面"
        return [Remark(code="nearly_blank", message=told)]
    remarks = []
    if scan.brightness < rules.least_brightness:
        told = f"图片过暗（亮度 {scan.brightness:.0f}/255），请调高亮度后重新扫描"
        remarks.append(Remark(code="too_dark", message=told))
    if scan.sharpness < rules.least_sharpness:
        told = f"图片模糊（清晰度 {scan.sharpness:.2f}），请放平原件后重新扫描"
        remarks.append(Remark(code="blurred", message=told))
    return remarks
