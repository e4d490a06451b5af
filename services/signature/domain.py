"""Signature sheets, signatures and their rules, without I/O: transitions, and how a scanned sheet is judged."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from kit.core.documents import Document
from kit.core.ids import new_id
from kit.files.documents import EncryptedFileDocument, Remark
from kit.formats.sheets import CutBox

State = Literal["checking", "accepted", "refused", "replaced"]
FormState = Literal["valid", "stale"]
FOLDERS = "signatures"
IDENTIFYING = frozenset({"name", "document_number", "document_type"})
"""Fields from identity that are printed on the sheet."""


class Rules(BaseModel):
    """The largest scan (bytes), and the least ink of a signature (mm²)."""

    model_config = ConfigDict(frozen=True)

    limit_bytes: int = 5 * 1024 * 1024
    least_ink_mm2: float = 6


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
    """Refused if there are reasons; warnings do not refuse. `form_id`: of the sheet that was recognised, if any."""

    reasons: Sequence[Remark]
    warnings: Sequence[Remark] = ()
    form_id: str | None = None

    @property
    def state(self) -> State:
        """The signature's next state."""
        return "refused" if self.reasons else "accepted"


def refused(code: str, form_id: str | None = None) -> Verdict:
    """A refusal with one reason."""
    return Verdict([remark(code)], form_id=form_id)


class Person(BaseModel):
    """A person's data that are printed on the sheet, as identity returns them to the person."""

    practitioner_id: str
    version: int
    name: str
    document_number: str


class SignatureSheet(Document):
    """A signature sheet, with the person's name and number as of `practitioner_version`."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"number_sealed"}

    practitioner_id: str
    practitioner_version: int
    name: str
    number_sealed: str
    state: FormState = "valid"
    expires_at: datetime

    @classmethod
    def printed(
        cls, form_id: str, person: Person, number_sealed: str, expires_at: datetime, *, at: datetime, by: str
    ) -> Self:
        """A new sheet for a person; the document number is encrypted for this id."""
        return cls.first(
            at=at, by=by, action="printed", id=form_id, practitioner_id=person.practitioner_id,
            practitioner_version=person.version, name=person.name, expires_at=expires_at, number_sealed=number_sealed,
        )  # fmt: skip

    def outdated(self, *, at: datetime, by: str) -> Self:
        """The person's name or document number has changed."""
        return self.next_version({"state": "stale"}, at=at, by=by, action="outdated")


class Signature(EncryptedFileDocument):
    """The scan of a signed sheet, and the signature cut out of it."""

    ROOT: ClassVar[str] = FOLDERS

    practitioner_id: str
    form_id: str | None = None
    state: State = "checking"
    reasons: list[Remark] = Field(default=[])
    warnings: list[Remark] = Field(default=[])
    sha256: str
    size: int
    seen: bool = False
    """Whether its owner has seen that it was refused."""

    @classmethod
    def uploaded(cls, practitioner_id: str, content: bytes, *, sealed: bool, at: datetime, by: str) -> Self:
        """A new scan of the person's sheet, to be checked."""
        return cls.first(
            at=at, by=by, action="uploaded", id=new_id(), practitioner_id=practitioner_id,
            sha256=hashlib.sha256(content).hexdigest(), size=len(content), folder=cls.new_folder(), sealed=sealed,
        )  # fmt: skip

    def judged(self, verdict: Verdict, *, at: datetime, by: str) -> Self:
        """The check has decided."""
        changes = {
            "state": verdict.state, "reasons": [*verdict.reasons], "warnings": [*verdict.warnings],
            "form_id": verdict.form_id,
        }  # fmt: skip
        return self.next_version(changes, at=at, by=by, action=verdict.state)

    def seen_by_owner(self, *, at: datetime, by: str) -> Self:
        """Its owner has seen that it was refused."""
        return self.next_version({"seen": True}, at=at, by=by, action="seen")

    def replaced(self, *, at: datetime, by: str) -> Self:
        """A later one has replaced it; the worker removes its files."""
        return self.next_version({"state": "replaced"}, at=at, by=by, action="replaced")

    @property
    def scan(self) -> str:
        """The object key of the straightened page."""
        return f"{self.folder}/scan"

    @property
    def image(self) -> str:
        """The object key of the signature image."""
        return f"{self.folder}/image"


def sheet_fault(sheet: SignatureSheet | None, person: str, identified: int, uploaded_at: datetime) -> str | None:
    """The code of the reason why this sheet is refused from this person; None if it is not.

    `identified`: the person's version that last changed name or number. The sheet must be valid at `uploaded_at`; it
    may expire before the check.
    """
    if sheet is None:
        return "sheet_unknown"
    if sheet.practitioner_id != person:
        return "sheet_of_another"
    if sheet.practitioner_version < identified:
        return "sheet_stale"
    return "sheet_expired" if sheet.expires_at <= uploaded_at else None


def judge(form_id: str, cut: CutBox | None, rules: Rules) -> Verdict:
    """The verdict on the person's own sheet; `cut`: None if the signature box was not found."""
    if cut is None:
        return refused("markers_missing", form_id)
    if cut.ink_mm2 < rules.least_ink_mm2:
        return refused("not_signed", form_id)
    return Verdict([], [remark("touches_border")] if cut.touches_border else [], form_id)


@dataclass(frozen=True)
class Known:
    """A person's newest version, and the version that last changed name or document number."""

    version: int
    identified: int


def known_after(before: Known | None, version: int, changed: Sequence[str]) -> Known:
    """What to store after the event of a version; a version that was skipped may have changed name or number."""
    if before is not None and before.version >= version:
        return before
    if before is None or before.version < version - 1 or IDENTIFYING & set(changed):
        return Known(version, version)
    return Known(version, before.identified)
