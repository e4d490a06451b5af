"""Identity documents: how a number is written, and which numbers can exist. The region never refuses a card."""

import re
import unicodedata
from datetime import date
from typing import Literal

DocumentType = Literal["resident_id"]
RESIDENT = re.compile(r"[1-8]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]", re.ASCII)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"
OLDEST_YEARS = 130


def normalised(number: str) -> str:
    """As it is compared and stored: half-width, upper-case, without blanks (NFKC is safe for numbers)."""
    return "".join(unicodedata.normalize("NFKC", number).split()).upper()


def check_digit(first17: str) -> str:
    """The eighteenth character of a resident number (GB 11643, ISO 7064 MOD 11-2)."""
    return CHECK_DIGITS[sum(int(digit) * weight for digit, weight in zip(first17, WEIGHTS, strict=True)) % 11]


def resident_birth_date(number: str) -> date:
    """The birth date inside a resident number. Raises ValueError for a day that does not exist."""
    return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))


def resident_sex(number: str) -> Literal["male", "female"]:
    """The sex inside a resident number: the seventeenth digit, odd for men."""
    return "male" if int(number[16]) % 2 else "female"


def is_resident_number(number: str, today: date) -> bool:
    """Whether a normalised resident number can exist today: form, check digit, a real and plausible birth date."""
    if not RESIDENT.fullmatch(number) or check_digit(number[:17]) != number[17]:
        return False
    try:
        born = resident_birth_date(number)
    except ValueError:
        return False
    return born <= today and today.year - born.year <= OLDEST_YEARS
