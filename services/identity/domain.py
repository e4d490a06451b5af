"""The rules of identity that are true without I/O: what a registration must say, what a code is for."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from kit.core.text import REQUIRED, Name, Text, day_from_text, name_key, today_of
from services.identity.documents import BY_HAND, WITH_CHIP, DocumentType, Rule, normalised, rule_of

MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})", re.ASCII)
READ_SCOPE = "practitioners:read"
PORTRAIT_BYTES = 100 * 1024
COUNTRY = re.compile(r"[A-Z]{3}|D")  # ICAO 9303: three letters, and D for Germany
ON_EVERY_CHIP = ("authority", "valid_from", "reader")
ON_CHIP: dict[DocumentType, tuple[str, ...]] = {
    "resident_id": ("ethnicity", "address", *ON_EVERY_CHIP),
    "hmt_residence_permit": ("address", *ON_EVERY_CHIP),
    "foreign_permanent_resident_id": ("name_latin", "nationality", *ON_EVERY_CHIP),
}

Sex = Literal["male", "female", "unknown"]
Purpose = Literal["login", "bind_phone", "confirm"]
"""What a code proves."""
CODES: dict[Purpose, str] = {"login": "login_code", "bind_phone": "bind_code", "confirm": "confirm_code"}
"""What each code is called in events and at notify."""
Delivery = Literal["requested", "sent", "delivered", "failed"]
ChallengeState = Literal["requested", "sent", "delivered", "failed", "expired", "used"]


def mobile(value: str) -> str:
    """Eleven digits of a mainland mobile number; a country prefix and blanks are dropped."""
    found = MOBILE.fullmatch(re.sub(r"[\s-]", "", value))
    if found is None:
        raise PydanticCustomError("phone_invalid", "请填写正确的11位手机号码" if value.strip() else REQUIRED)
    return found[1]


Day = Annotated[date, BeforeValidator(day_from_text)]
Phone = Annotated[str, Field(max_length=32), AfterValidator(mobile)]
DocumentNumber = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(normalised)]


def hint(phone: str) -> str:
    """`138****5678`."""
    return f"{phone[:3]}****{phone[-4:]}"


def number_hint(number: str) -> str:
    """Enough of a document number to compare it with the document: `310***********1230`, `E1*****78`."""
    first, last = (3, 4) if len(number) >= 15 else (2, 2)
    return f"{number[:first]}{'*' * max(len(number) - first - last, 1)}{number[-last:]}"


def same_name(names: Iterable[str | None], others: Iterable[str | None]) -> bool:
    """Whether somebody with these names (in their own script, in Latin letters) may be called so, too."""
    keys, other_keys = ({name_key(name) for name in all_names if name} for all_names in (names, others))
    return not keys.isdisjoint(other_keys)


class Reader(BaseModel):
    """The card reader that read the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device_id: Annotated[str, Text(100)]


class Registration(BaseModel):
    """What is said of a person: read from a card, typed in at a window, or in a list of a first load."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["card_reader", "manual", "import"]
    document_type: DocumentType
    document_number: DocumentNumber
    former_number: DocumentNumber | None = None
    name: Annotated[str, Name(100)]
    name_latin: Annotated[str, Name(120)] | None = Field(default=None, validate_default=True)
    sex: Sex
    birth_date: Day
    ethnicity: Annotated[str, Text(50)] | None = Field(default=None, validate_default=True)
    nationality: Annotated[str, Text(50)] | None = Field(default=None, validate_default=True)
    address: Annotated[str, Text(300)] | None = Field(default=None, validate_default=True)
    authority: Annotated[str, Text(100)] | None = Field(default=None, validate_default=True)
    valid_from: Day | None = Field(default=None, validate_default=True)
    long_term: StrictBool = False
    valid_to: Day | None = Field(default=None, validate_default=True)
    portrait: Base64Bytes | None = Field(default=None, repr=False)
    reader: Reader | None = Field(default=None, validate_default=True)
    same_as: str | None = None

    @property
    def numbers(self) -> list[str]:
        """The number, and the former one where it was given."""
        return [self.document_number, *([self.former_number] if self.former_number else [])]

    def expired(self, today: date) -> bool:
        """Whether the document was valid until a day before today."""
        return self.valid_to is not None and self.valid_to < today

    @field_validator("document_type")
    @classmethod
    def _way_in(cls, document_type: DocumentType, info: ValidationInfo) -> DocumentType:
        source = info.data.get("source")
        if source == "manual" and document_type not in BY_HAND:
            raise PydanticCustomError("card_reader_required", "该类证件须通过读卡机采集，不能手工录入")
        if source == "card_reader" and document_type not in WITH_CHIP:
            raise PydanticCustomError("not_readable", "该类证件不能通过读卡机采集，请由窗口人员手工录入")
        return document_type

    @field_validator("document_number", "former_number")
    @classmethod
    def _exists(cls, number: str | None, info: ValidationInfo) -> str | None:
        document_type = info.data.get("document_type")
        if number and document_type and not rule_of(document_type, number).exists(number, today_of(info)):
            raise PydanticCustomError("document_number_invalid", "证件号码有误，请核对后重新输入")
        return number

    @field_validator("sex")
    @classmethod
    def _same_sex(cls, sex: Sex, info: ValidationInfo) -> Sex:
        rule, number = _rule_and_number(info)
        if rule and rule.sex(number) not in (None, sex):
            raise PydanticCustomError("sex_mismatch", "性别与证件号码不一致，请核对")
        return sex

    @field_validator("birth_date")
    @classmethod
    def _same_birth_date(cls, born: date, info: ValidationInfo) -> date:
        rule, number = _rule_and_number(info)
        if rule and rule.born(number) not in (None, born):
            raise PydanticCustomError("birth_date_mismatch", "出生日期与证件号码不一致，请核对")
        if born > today_of(info):
            raise PydanticCustomError("birth_date_future", "出生日期不能晚于今天，请核对")
        return born

    @field_validator("nationality")
    @classmethod
    def _country(cls, country: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("document_type") != "passport":
            return country
        if country is None or not COUNTRY.fullmatch(country.upper()):
            raise PydanticCustomError("country_code", "请填写护照签发国的三位字母代码，如 USA")
        return country.upper()

    @field_validator("name_latin", "ethnicity", "nationality", "address", "authority", "valid_from", "reader")
    @classmethod
    def _card_says_it(cls, value: object, info: ValidationInfo) -> object:
        held = ON_CHIP.get(info.data.get("document_type", "passport"), ())
        if value is None and info.field_name in held and info.data.get("source") == "card_reader":
            raise PydanticCustomError("missing", "读卡信息不完整，请重新读卡")
        return value

    @field_validator("valid_to")
    @classmethod
    def _validity(cls, value: date | None, info: ValidationInfo) -> date | None:
        begins = info.data.get("valid_from")
        if value is None and not info.data.get("long_term") and info.data.get("source") == "card_reader":
            raise PydanticCustomError("missing", "请填写有效期止，或选择长期")
        if value and info.data.get("long_term"):
            raise PydanticCustomError("contradiction", "填写了有效期止，又选择了长期有效，请只保留一项")
        if value and begins and value <= begins:
            raise PydanticCustomError("date_order", "有效期止必须晚于有效期起，请检查这两个日期")
        return value

    @field_validator("portrait")
    @classmethod
    def _jpeg(cls, value: bytes | None) -> bytes | None:
        if value is not None and (len(value) > PORTRAIT_BYTES or not value.startswith(b"\xff\xd8\xff")):
            raise PydanticCustomError("portrait_invalid", "照片须为不超过100KB的JPG图片，请换一张")
        return value


class WindowRegistration(Registration):
    """What a window may say: only admins load lists. `same_as`: the person whose new document this is."""

    source: Literal["card_reader", "manual"]
    same_as: str | None = Field(default=None, max_length=64)


def _rule_and_number(info: ValidationInfo) -> tuple[Rule | None, str]:
    """The rule of the document number, when there is one that could be read."""
    document_type, number = info.data.get("document_type"), info.data.get("document_number")
    return (rule_of(document_type, number), number) if document_type and number else (None, "")


Doubtful = Literal["no_card", "looked_up", "too_many"]
"""Why another phone needs a second clerk: no card was read, the person was looked up by number since, or the clerk has
bound many."""


class Waiting(BaseModel):
    """A phone that is bound when a second clerk confirms it before `until`: who asked, why, and why it waits."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    by: str
    at: datetime
    until: datetime
    reason: str
    cause: Doubtful
    card_read_at: datetime | None
    looked_up_at: datetime | None
    phone_index: str
    phone_hint: str
    contact: str
    shared_reason: str | None
