"""The rules of identity that are true without I/O: what a registration must say, how a code is judged."""

import re
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

from kit.text import Name, Text, day_from_text, today_of
from services.identity.documents import (
    DocumentType,
    is_resident_number,
    normalised,
    resident_birth_date,
    resident_sex,
)

MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})", re.ASCII)
PORTRAIT_BYTES = 100 * 1024
CARD_FIELDS = ("ethnicity", "address", "authority", "valid_from")

Sex = Literal["male", "female", "unknown"]
Delivery = Literal["requested", "sent", "delivered", "failed"]
ChallengeState = Literal["requested", "sent", "delivered", "failed", "expired", "used"]


def mobile(value: str) -> str:
    """Eleven digits of a mainland mobile number; a country prefix and blanks are dropped."""
    found = MOBILE.fullmatch(re.sub(r"[\s-]", "", value))
    if found is None:
        raise PydanticCustomError("phone_invalid", "请填写正确的11位手机号码")
    return found[1]


Day = Annotated[date, BeforeValidator(day_from_text)]
Phone = Annotated[str, Field(max_length=32), AfterValidator(mobile)]
DocumentNumber = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(normalised)]


def hint(phone: str) -> str:
    """`138****5678`."""
    return f"{phone[:3]}****{phone[-4:]}"


class Reader(BaseModel):
    """The card reader that read the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device_id: Annotated[str, Text(100)]


class Registration(BaseModel):
    """What a window says of a person: read from a card, or typed in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["card_reader", "manual"]
    document_type: DocumentType
    document_number: DocumentNumber
    name: Annotated[str, Name(100)]
    name_latin: Annotated[str, Text(120)] | None = None
    sex: Sex
    birth_date: Day
    ethnicity: Annotated[str, Text(50)] | None = Field(default=None, validate_default=True)
    nationality: Annotated[str, Text(50)] | None = None
    address: Annotated[str, Text(300)] | None = Field(default=None, validate_default=True)
    authority: Annotated[str, Text(100)] | None = Field(default=None, validate_default=True)
    valid_from: Day | None = Field(default=None, validate_default=True)
    long_term: StrictBool = False
    valid_to: Day | None = Field(default=None, validate_default=True)
    portrait: Base64Bytes | None = Field(default=None, repr=False)
    reader: Reader | None = Field(default=None, validate_default=True)

    @field_validator("document_number")
    @classmethod
    def _exists(cls, number: str, info: ValidationInfo) -> str:
        if info.data.get("document_type") == "resident_id" and not is_resident_number(number, today_of(info)):
            raise PydanticCustomError("document_number_invalid", "证件号码有误，请核对后重新输入")
        return number

    @field_validator("sex")
    @classmethod
    def _same_sex(cls, sex: Sex, info: ValidationInfo) -> Sex:
        number = info.data.get("document_number")
        if number and sex != resident_sex(number):
            raise PydanticCustomError("sex_mismatch", "性别与证件号码不一致，请核对")
        return sex

    @field_validator("birth_date")
    @classmethod
    def _same_birth_date(cls, born: date, info: ValidationInfo) -> date:
        number = info.data.get("document_number")
        if number and born != resident_birth_date(number):
            raise PydanticCustomError("birth_date_mismatch", "出生日期与证件号码不一致，请核对")
        return born

    @field_validator(*CARD_FIELDS, "reader")
    @classmethod
    def _card_says_it(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.data.get("source") == "card_reader":
            raise PydanticCustomError("missing", "读卡信息不完整，请重新读卡")
        return value

    @field_validator("valid_to")
    @classmethod
    def _validity(cls, value: date | None, info: ValidationInfo) -> date | None:
        begins = info.data.get("valid_from")
        if value is None and not info.data.get("long_term") and info.data.get("source") == "card_reader":
            raise PydanticCustomError("missing", "请填写有效期止，或选择长期")
        if value and begins and value <= begins:
            raise PydanticCustomError("date_order", "有效期止必须晚于有效期起，请检查这两个日期")
        return value

    @field_validator("portrait")
    @classmethod
    def _jpeg(cls, value: bytes | None) -> bytes | None:
        if value is not None and (len(value) > PORTRAIT_BYTES or not value.startswith(b"\xff\xd8\xff")):
            raise PydanticCustomError("portrait_invalid", "照片须为不超过100KB的JPG图片")
        return value


def challenge_state(
    *, used: bool, open_until: datetime, closed: bool, delivery: Delivery, now: datetime
) -> ChallengeState:
    """What a person is told of their code."""
    if used:
        return "used"
    return "expired" if closed or now >= open_until else delivery
