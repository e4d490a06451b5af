"""The form by which a clerk registers a person: read from a card, or typed in for documents without a chip.

What identity notices of the document (it has expired, its owner may be on file already) is asked on the same form.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.portal.client.answers import Practitioner
from services.portal.client.staff import Candidate, Check
from services.portal.domain import PHOTO_BYTES, day

CARD = "card"
"""Instead of a document's type: what lies on the reader says of which type it is."""
BY_HAND = ("passport", "hk_macao_permit", "taiwan_permit", "military_id", "foreign_permanent_resident_id")
LONG_TERM, TICKED = "long_term", "1"
SAME_AS, NEWCOMER, EXPIRED, RENEWED = "same_as", "new", "document_expired", "renewed"
"""Answers of the form: whose file goes on, or nobody's; the document has expired; it is another than that on file."""
ASKED, QUESTIONS = "asked", "questions"
ANSWERS = (SAME_AS, EXPIRED, RENEWED, ASKED, QUESTIONS)
SENTENCES = {RENEWED: "请确认是否为本人换发的证件", SAME_AS: "请选择是否为同一人"}


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
    Entry("former_number", "原护照号码", hint="换发护照的，填写原护照的号码", shown_for=frozenset({"passport"})),
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


@dataclass(frozen=True)
class Question:
    """What a clerk confirms or chooses before somebody is registered; `about`: which registration it is about."""

    about: str
    ticks: Mapping[str, str] = field(default_factory=dict)
    candidates: Sequence[Candidate] = ()

    @property
    def names(self) -> list[str]:
        """The fields that answer it."""
        return [*self.ticks, *([SAME_AS] if self.candidates else [])]

    @property
    def errors(self) -> dict[str, str]:
        """Until it is answered, by field."""
        return {name: SENTENCES.get(name, "请确认是否仍要登记") for name in self.names}


def question_of(body: Mapping[str, object], check: Check, name: str = "") -> Question:
    """From what identity noticed; `name`: of the person whose document it is said to be."""
    ticks = {warning.code: f"{warning.message}，仍要登记" for warning in check.warnings}
    if name and check.known is None:
        ticks[RENEWED] = f"证件与档案中的不同，是{name}本人换发的证件，续用原档案"
    return Question(_about(body), ticks, check.candidates)


def is_answered(body: Mapping[str, object], form: Mapping[str, str]) -> bool:
    """Whether the form answers all that was asked, of this same registration."""
    return form.get(ASKED) == _about(body) and all(form.get(name) for name in form.get(QUESTIONS, "").split())


def _about(body: Mapping[str, object]) -> str:
    """What an answer is about: typed otherwise it is asked again. A photo or an address makes no other person."""
    told = {name: value for name, value in body.items() if name not in ("portrait", "address", "authority", "reader")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def same_as(form: Mapping[str, str]) -> dict[str, object]:
    """The clerk's choice among similar people, as identity expects it."""
    chosen = form.get(SAME_AS, "")
    return {SAME_AS: chosen} if chosen not in ("", NEWCOMER) else {}


def values_of(person: Practitioner, document_type: str) -> dict[str, str]:
    """What is known of a person, in the form of a document: of another than theirs only what every document says."""
    names = {entry.name for entry in entries_of(document_type)} & Practitioner.model_fields.keys()
    if document_type != person.document_type:
        names &= {"name", "name_latin", "sex", "birth_date"}
    known = {name: value for name in sorted(names) if (value := getattr(person, name))}
    return {name: TICKED if value is True else str(value) for name, value in known.items()}


def with_photo(form: Mapping[str, str], photo: bytes | None) -> dict[str, str]:
    """The form with the photo that was chosen as a file, in place of the one from before.

    One that is too large is cut just behind the limit: identity refuses it, together with all else that is wrong.
    """
    return {**form, "portrait": base64.b64encode(photo[: PHOTO_BYTES + 1]).decode()} if photo else dict(form)
