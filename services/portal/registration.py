"""The form by which a clerk registers a person: read from a card, or typed in for documents without a chip."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from services.portal.domain import day

CARD = "card"
"""Instead of a document's type: what lies on the reader says of which type it is."""
BY_HAND = ("passport", "hk_macao_permit", "taiwan_permit", "military_id", "foreign_permanent_resident_id")
LONG_TERM, TICKED = "long_term", "1"
PHOTO_BYTES = 100 * 1024
"""As identity takes it; it is told on the page."""


@dataclass(frozen=True)
class Entry:
    """One field of the form: `shown_for` lists the documents that have it, none means all."""

    name: str
    title: str
    kind: str = "text"
    required: bool = False
    hint: str = ""
    shown_for: frozenset[str] = frozenset()

    def of(self, document_type: str) -> bool:
        """Whether a document of this type has it."""
        return document_type == CARD or not self.shown_for or document_type in self.shown_for


FOREIGN = frozenset({"foreign_permanent_resident_id"})
ENTRIES = (
    Entry("document_number", "证件号码", required=True),
    Entry("former_number", "原证件号码", hint="新版卡片上印有的旧卡号码", shown_for=FOREIGN),
    Entry(
        "nationality",
        "签发国（地区）",
        hint="三位字母代码，如 USA、JPN",
        required=True,
        shown_for=frozenset({"passport"}),
    ),
    Entry("nationality", "国籍（地区）", shown_for=FOREIGN),
    Entry("name", "姓名", required=True, hint="读卡机可能截断过长的姓名，请与证件核对"),
    Entry("name_latin", "英文姓名", shown_for=FOREIGN | {"passport", "hk_macao_permit", "taiwan_permit"}),
    Entry("sex", "性别", "sex", required=True),
    Entry("birth_date", "出生日期", "date", required=True),
    Entry("ethnicity", "民族", shown_for=frozenset({"resident_id"})),
    Entry("address", "住址", shown_for=frozenset({"resident_id", "hmt_residence_permit"})),
    Entry("authority", "签发机关"),
    Entry("valid_from", "有效期起", "date"),
    Entry("valid_to", "有效期止", "date"),
    Entry(LONG_TERM, "长期有效", "tick"),
)
DAYS = {entry.name for entry in ENTRIES if entry.kind == "date"}


def entries_of(document_type: str) -> list[Entry]:
    """The fields of a form; of a card's each name once."""
    return list({entry.name: entry for entry in ENTRIES if entry.of(document_type)}.values())


def body_of(document_type: str, form: Mapping[str, str]) -> dict[str, object]:
    """What identity is told; fields that were left empty are absent."""
    names = [entry.name for entry in entries_of(document_type) if entry.name != LONG_TERM]
    told: dict[str, object] = {name: form[name] for name in names if form.get(name, "").strip()}
    told |= {name: day(form[name]) for name in DAYS & told.keys()}
    told[LONG_TERM] = form.get(LONG_TERM) == TICKED
    if form.get("portrait"):
        told["portrait"] = form["portrait"]
    if document_type != CARD:
        return told | {"source": "manual", "document_type": document_type}
    read = {"document_type": form.get("document_type", ""), "source": "card_reader"}
    reader = {"reader": {"device_id": form["device_id"]}} if form.get("device_id") else {}
    return told | read | reader


def with_photo(form: Mapping[str, str], photo: bytes | None) -> dict[str, str]:
    """The form with the photo that was chosen as a file, in place of the one from before.

    One that is too large is cut just behind the limit: identity refuses it, together with all else that is wrong.
    """
    return {**form, "portrait": base64.b64encode(photo[: PHOTO_BYTES + 1]).decode()} if photo else dict(form)
