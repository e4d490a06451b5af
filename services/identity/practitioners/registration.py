"""What a registration must contain, by document type and source (card reader, by hand, import)."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import (
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from kit.core.text import CalendarDay, Name, Text, today_of
from kit.formats.images import is_jpeg
from services.identity.domain import DocumentNumber, Sex
from services.identity.practitioners.identity_documents import BY_HAND, WITH_CHIP, DocumentType, Rule, rule_of

PORTRAIT_BYTES = 100 * 1024
COUNTRY = re.compile(r"[A-Z]{3}|D")  # ICAO 9303: three letters, and D for Germany
ON_EVERY_CHIP = ("authority", "valid_from", "reader")
ON_CHIP: dict[DocumentType, tuple[str, ...]] = {
    "resident_id": ("ethnicity", "address", *ON_EVERY_CHIP),
    "hmt_residence_permit": ("address", *ON_EVERY_CHIP),
    "foreign_permanent_resident_id": ("name_latin", "nationality", *ON_EVERY_CHIP),
}


class Reader(BaseModel):
    """The card reader that read the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device_id: Annotated[str, Text(100)]


class Registration(BaseModel):
    """The basic information of a person: read from a card, typed in at a window, or from an import."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["card_reader", "manual", "import"]
    document_type: DocumentType
    document_number: DocumentNumber
    former_number: DocumentNumber | None = None
    name: Annotated[str, Name(100)]
    name_latin: Annotated[str, Name(120)] | None = Field(default=None, validate_default=True)
    sex: Sex
    birth_date: CalendarDay
    ethnicity: Annotated[str, Text(50)] | None = Field(default=None, validate_default=True)
    nationality: Annotated[str, Text(50)] | None = Field(default=None, validate_default=True)
    address: Annotated[str, Text(300)] | None = Field(default=None, validate_default=True)
    authority: Annotated[str, Text(100)] | None = Field(default=None, validate_default=True)
    valid_from: CalendarDay | None = Field(default=None, validate_default=True)
    long_term: StrictBool = False
    valid_to: CalendarDay | None = Field(default=None, validate_default=True)
    portrait: Base64Bytes | None = Field(default=None, repr=False)
    reader: Reader | None = Field(default=None, validate_default=True)
    same_as: str | None = None

    @property
    def numbers(self) -> list[str]:
        """The document number, and the former one if it was given."""
        return [self.document_number, *([self.former_number] if self.former_number else [])]

    def expired(self, today: date) -> bool:
        """Whether the identity document has expired."""
        return self.valid_to is not None and self.valid_to < today

    @field_validator("document_type")
    @classmethod
    def _source_allowed(cls, document_type: DocumentType, info: ValidationInfo) -> DocumentType:
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
    def _on_chip(cls, value: object, info: ValidationInfo) -> object:
        on_chip = ON_CHIP.get(info.data.get("document_type", "passport"), ())
        if value is None and info.field_name in on_chip and info.data.get("source") == "card_reader":
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
        if value is not None and (len(value) > PORTRAIT_BYTES or not is_jpeg(value)):
            raise PydanticCustomError("portrait_invalid", "照片须为不超过100KB的JPG图片，请换一张")
        return value


class WindowRegistration(Registration):
    """A registration at a window. `same_as`: the known person whose new identity document this is."""

    source: Literal["card_reader", "manual"]
    same_as: str | None = Field(default=None, max_length=64)


def _rule_and_number(info: ValidationInfo) -> tuple[Rule | None, str]:
    """The rule and the document number; no rule if type or number are invalid."""
    document_type, number = info.data.get("document_type"), info.data.get("document_number")
    return (rule_of(document_type, number), number) if document_type and number else (None, "")
