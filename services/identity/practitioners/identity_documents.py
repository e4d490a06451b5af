"""Identity documents: the format of their numbers, which numbers can exist, and which part a renewal does not change.

Sources: GB 11643 for numbers of eighteen digits, the formats of the permits for the others. The region code is not
checked: counties were renamed and merged, but numbers are lifelong.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

DocumentType = Literal[
    "resident_id",
    "hmt_residence_permit",
    "foreign_permanent_resident_id",
    "passport",
    "military_id",
    "hk_macao_permit",
    "taiwan_permit",
]
DOCUMENT_TYPES: tuple[DocumentType, ...] = get_args(DocumentType)
WITH_CHIP: frozenset[DocumentType] = frozenset({"resident_id", "hmt_residence_permit", "foreign_permanent_resident_id"})
LIFELONG: frozenset[DocumentType] = frozenset(DOCUMENT_TYPES) - {"passport", "military_id"}
"""A person has only one number of such a type; of foreigners' cards this holds only for those of eighteen digits."""
BY_HAND: frozenset[DocumentType] = frozenset(DOCUMENT_TYPES) - {"resident_id", "hmt_residence_permit"}

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"
OLDEST_YEARS = 130
CENTURY, DAY = r"(?:18|19|20)", r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
RESIDENCE_PERMIT = r"8[123]0000"

Sex = Literal["male", "female"]


def normalised(number: str) -> str:
    """A number as it is compared and stored: half-width, upper-case, without blanks."""
    return "".join(unicodedata.normalize("NFKC", number).split()).upper()


def check_digit(first17: str) -> str:
    """The eighteenth character of a number (GB 11643, ISO 7064 MOD 11-2)."""
    return CHECK_DIGITS[sum(int(digit) * weight for digit, weight in zip(first17, WEIGHTS, strict=True)) % 11]


def mrz_check_digit(text: str) -> str:
    """The check digit of machine-readable documents (ICAO 9303: weights 7, 3, 1; A is 10)."""
    return str(sum(int(character, 36) * (7, 3, 1)[index % 3] for index, character in enumerate(text)) % 10)


@dataclass(frozen=True)
class Rule:
    """The format of one type of document number. `lasting`: the part that a renewal does not change."""

    pattern: re.Pattern[str]
    checked: Callable[[str], bool] = lambda _number: True
    lasting: Callable[[str], str] = lambda number: number
    born: Callable[[str], date | None] = lambda _number: None
    sex: Callable[[str], Sex | None] = lambda _number: None

    def exists(self, number: str, today: date) -> bool:
        """Whether this normalised number can exist today."""
        if not self.pattern.fullmatch(number) or not self.checked(number):
            return False
        try:
            born = self.born(number)
        except ValueError:  # 30 February
            return False
        return born is None or (born <= today and today.year - born.year <= OLDEST_YEARS)


def _rule(pattern: str, lasting: Callable[[str], str] = lambda number: number) -> Rule:
    return Rule(re.compile(pattern, re.ASCII), lasting=lasting)


def _eighteen(region: str) -> Rule:
    """A region of six characters, the birth date, a sequence number (odd for men), a check digit."""
    return Rule(
        re.compile(rf"{region}{CENTURY}{DAY}\d{{3}}[\dX]", re.ASCII),
        checked=lambda number: check_digit(number[:17]) == number[17],
        born=lambda number: date(int(number[6:10]), int(number[10:12]), int(number[12:14])),
        sex=lambda number: "male" if int(number[16]) % 2 else "female",
    )


# nationality, region, YYMMDD (without the century), sex, check digit: cards issued before December 2023
OLD_FOREIGN_CARD = Rule(
    re.compile(rf"[A-Z]{{3}}\d{{4}}{DAY}\d{{2}}", re.ASCII),
    checked=lambda number: mrz_check_digit(number[:14]) == number[14],
)
NEW_FOREIGN_CARD = _eighteen(r"9\d{5}")

RULES: Mapping[DocumentType, Rule] = {
    "resident_id": _eighteen(rf"(?!{RESIDENCE_PERMIT})[1-8]\d{{5}}"),
    "hmt_residence_permit": _eighteen(RESIDENCE_PERMIT),
    "foreign_permanent_resident_id": NEW_FOREIGN_CARD,
    "passport": _rule(r"[A-Z0-9]{5,20}"),
    "military_id": _rule(r"[\u4e00-\u9fa5]字第[0-9A-Z]{4,8}号|[0-9A-Z.]{4,21}"),  # no national format is known
    "hk_macao_permit": _rule(
        r"[HM](?:\d{8}|\d{10})", lasting=lambda number: number[:9]
    ),  # the last two digits count renewals
    "taiwan_permit": _rule(r"\d{8}|\d{10}", lasting=lambda number: number[:8]),
}


def rule_of(document_type: DocumentType, number: str) -> Rule:
    """The rule for a number of this document type."""
    old = document_type == "foreign_permanent_resident_id" and len(number) == 15
    return OLD_FOREIGN_CARD if old else RULES[document_type]


def lasting(document_type: DocumentType, number: str) -> str:
    """The part of a normalised number that a renewal does not change; the whole number if its format is unknown."""
    return rule_of(document_type, number).lasting(number) if _has_format(document_type, number) else number


def lifelong(document_type: DocumentType, number: str) -> str | None:
    """The lifelong part of a normalised number; None if a new document has a new number, or the format is unknown."""
    changes = document_type not in LIFELONG or rule_of(document_type, number) is OLD_FOREIGN_CARD
    return None if changes or not _has_format(document_type, number) else lasting(document_type, number)


def possible_lasting_parts(number: str) -> set[str]:
    """The lasting parts of a normalised number of unknown document type, one for each way to read it."""
    return {lasting(document_type, number) for document_type in DOCUMENT_TYPES}


def _has_format(document_type: DocumentType, number: str) -> bool:
    return rule_of(document_type, number).pattern.fullmatch(number) is not None
