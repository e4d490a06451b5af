"""The form for registering a person: read from a card, or typed for documents without a chip.

Identity checks the registration first. Its warnings (an expired document, similar people) are shown in the same form.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.portal.client.models import Practitioner
from services.portal.client.staff import Candidate, Check
from services.portal.domain import PHOTO_BYTES, day

CARD = "card"
"""In place of a document type, which is read from the card."""
BY_HAND = ("passport", "hk_macao_permit", "taiwan_permit", "military_id", "foreign_permanent_resident_id")
LONG_TERM, TICKED = "long_term", "1"
SAME_AS = "same_as"
NEWCOMER = "new"
EXPIRED = "document_expired"
RENEWED = "renewed"
"""Fields of the form that answer questions: `SAME_AS` is a person's id or `NEWCOMER`, the others are ticks."""
ASKED, QUESTIONS = "asked", "questions"
ANSWERS = (SAME_AS, EXPIRED, RENEWED, ASKED, QUESTIONS)
SENTENCES = {RENEWED: "请确认是否为本人换发的证件", SAME_AS: "请选择是否为同一人"}


@dataclass(frozen=True)
class Entry:
    """One field of the form; `shown_for` lists the document types that have it, empty for all."""

    name: str
    title: str
    kind: str = "text"
    required: bool = False
    hint: str = ""
    shown_for: frozenset[str] = frozenset()

    def belongs_to(self, document_type: str) -> bool:
        """Whether documents of this type have the field."""
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
    """The fields for a document type, each name once."""
    return list({entry.name: entry for entry in ENTRIES if entry.belongs_to(document_type)}.values())


def body_of(document_type: str, form: Mapping[str, str]) -> dict[str, object]:
    """The request body for identity, without empty fields."""
    names = [entry.name for entry in entries_of(document_type) if entry.name != LONG_TERM]
    body: dict[str, object] = {name: form[name] for name in names if form.get(name, "").strip()}
    body |= {name: day(form[name]) for name in DAYS & body.keys()}
    body[LONG_TERM] = form.get(LONG_TERM) == TICKED
    if form.get("portrait"):
        body["portrait"] = form["portrait"]
    if document_type != CARD:
        return body | {"source": "manual", "document_type": document_type}
    read = {"document_type": form.get("document_type", ""), "source": "card_reader"}
    reader = {"reader": {"device_id": form["device_id"]}} if form.get("device_id") else {}
    return body | read | reader


@dataclass(frozen=True)
class Question:
    """What a clerk confirms or chooses before a person is registered; `about` is a hash of the registration."""

    about: str
    ticks: Mapping[str, str] = field(default_factory=dict)
    candidates: Sequence[Candidate] = ()

    @property
    def names(self) -> list[str]:
        """The form fields that answer the question."""
        return [*self.ticks, *([SAME_AS] if self.candidates else [])]

    @property
    def errors(self) -> dict[str, str]:
        """Error messages by field, shown until the question is answered."""
        return {name: SENTENCES.get(name, "请确认是否仍要登记") for name in self.names}


def question_of(body: Mapping[str, object], check: Check, name: str = "") -> Question:
    """The question for the result of a check; `name` is that of the attended person, if there is one."""
    ticks = {warning.code: f"{warning.message}，仍要登记" for warning in check.warnings}
    if name and check.known is None:
        ticks[RENEWED] = f"证件与档案中的不同，是{name}本人换发的证件，续用原档案"
    return Question(_about(body), ticks, check.candidates)


def is_answered(body: Mapping[str, object], form: Mapping[str, str]) -> bool:
    """Whether the form answers all questions about this registration."""
    return form.get(ASKED) == _about(body) and all(form.get(name) for name in form.get(QUESTIONS, "").split())


def _about(body: Mapping[str, object]) -> str:
    """A hash of the fields that identify a person: if one of them changes, the question is asked again."""
    identifying = {
        name: value for name, value in body.items() if name not in ("portrait", "address", "authority", "reader")
    }
    return hashlib.sha256(json.dumps(identifying, sort_keys=True).encode()).hexdigest()[:16]


def same_as(form: Mapping[str, str]) -> dict[str, object]:
    """The clerk's choice among similar people, for the request body."""
    chosen = form.get(SAME_AS, "")
    return {SAME_AS: chosen} if chosen not in ("", NEWCOMER) else {}


def values_of(person: Practitioner, document_type: str) -> dict[str, str]:
    """The form filled with a person's data; for another document type than theirs only what all documents contain."""
    names = {entry.name for entry in entries_of(document_type)} & Practitioner.model_fields.keys()
    if document_type != person.document_type:
        names &= {"name", "name_latin", "sex", "birth_date"}
    known = {name: value for name in sorted(names) if (value := getattr(person, name))}
    return {name: TICKED if value is True else str(value) for name, value in known.items()}


def with_photo(form: Mapping[str, str], photo: bytes | None) -> dict[str, str]:
    """The form with the uploaded photo in place of the previous one.

    A photo that is too large is cut after the limit, so that identity refuses it together with other errors.
    """
    return {**form, "portrait": base64.b64encode(photo[: PHOTO_BYTES + 1]).decode()} if photo else dict(form)
