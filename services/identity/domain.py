"""Values that all packages of identity use: phones, document numbers, names."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from kit.core.text import REQUIRED, name_key
from services.identity.practitioners.identity_documents import normalised

MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})", re.ASCII)
READ_SCOPE = "practitioners:read"

Sex = Literal["male", "female", "unknown"]


def mobile(value: str) -> str:
    """The eleven digits of a mainland mobile number, without country prefix, blanks and hyphens."""
    found = MOBILE.fullmatch(re.sub(r"[\s-]", "", value))
    if found is None:
        raise PydanticCustomError("phone_invalid", "请填写正确的11位手机号码" if value.strip() else REQUIRED)
    return found[1]


Phone = Annotated[str, Field(max_length=32), AfterValidator(mobile)]
DocumentNumber = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(normalised)]


def phone_hint(phone: str) -> str:
    """The masked phone: `138****5678`."""
    return f"{phone[:3]}****{phone[-4:]}"


def number_hint(number: str) -> str:
    """The masked document number, to compare with the identity document: `310***********1230`, `E1*****78`."""
    first, last = (3, 4) if len(number) >= 15 else (2, 2)
    return f"{number[:first]}{'*' * max(len(number) - first - last, 1)}{number[-last:]}"


def share_name(names: Iterable[str | None], others: Iterable[str | None]) -> bool:
    """Whether two people share a name, in their own script or in Latin letters."""
    keys, other_keys = ({name_key(name) for name in all_names if name} for all_names in (names, others))
    return not keys.isdisjoint(other_keys)
