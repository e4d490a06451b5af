"""Identity documents: how a number is written, which numbers can exist, and what of it stays when it is renewed.

The rules and their sources: GB 11643 for the eighteen digits, the permits' own forms for the others. The region in a
number never refuses it: counties were renamed and merged, and a number is for life.
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
FOR_LIFE: frozenset[DocumentType] = frozenset(DOCUMENT_TYPES) - {"passport", "military_id"}
"""Whoever has two numbers of such a type is two people; of foreigners' cards only those of eighteen digits."""
BY_HAND: frozenset[DocumentType] = frozenset(DOCUMENT_TYPES) - {"resident_id", "hmt_residence_permit"}

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"
OLDEST_YEARS = 130
CENTURY, DAY = r"(?:18|19|20)", r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
RESIDENCE_PERMIT = r"8[123]0000"

Sex = Literal["male", "female"]


def normalised(number: str) -> str:
    """As it is compared and stored: half-width, upper-case, without blanks (NFKC is safe for numbers)."""
    return "".join(unicodedata.normalize("NFKC", number).split()).upper()


def check_digit(first17: str) -> str:
    """The eighteenth character of a number (GB 11643, ISO 7064 MOD 11-2)."""
    return CHECK_DIGITS[sum(int(digit) * weight for digit, weight in zip(first17, WEIGHTS, strict=True)) % 11]


def mrz_check_digit(text: str) -> str:
    """The check digit of machine readable documents (ICAO 9303: weights 7, 3, 1; A is 10)."""
    return str(sum(int(sign, 36) * (7, 3, 1)[place % 3] for place, sign in enumerate(text)) % 10)


@dataclass(frozen=True)
class Rule:
    """One type of document. `lasting` is the part of a number that a renewal does not change: the person's key."""

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
    """Six characters that say where, the birth date, a sequence number (odd for men), a check digit."""
    return Rule(
        re.compile(rf"{region}{CENTURY}{DAY}\d{{3}}[\dX]", re.ASCII),
        checked=lambda number: check_digit(number[:17]) == number[17],
        born=lambda number: date(int(number[6:10]), int(number[10:12]), int(number[12:14])),
        sex=lambda number: "male" if int(number[16]) % 2 else "female",
    )


# nationality, region, YYMMDD (of which century it does not say), sex, check digit: cards from before December 2023
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
    "military_id": _rule(r"[\u4e00-\u9fa5]字第[0-9A-Z]{4,8}号|[0-9A-Z.]{4,21}"),  # no national form is known
    "hk_macao_permit": _rule(r"[HM](?:\d{8}|\d{10})", lasting=lambda number: number[:9]),  # two digits count renewals
    "taiwan_permit": _rule(r"\d{8}|\d{10}", lasting=lambda number: number[:8]),
}


def rule_of(document_type: DocumentType, number: str) -> Rule:
    """The rule for this number of this type of document."""
    old = document_type == "foreign_permanent_resident_id" and len(number) == 15
    return OLD_FOREIGN_CARD if old else RULES[document_type]


def lasting(document_type: DocumentType, number: str) -> str:
    """What of a normalised number is the same on every card of this person."""
    return rule_of(document_type, number).lasting(number) if _written_so(document_type, number) else number


def lifelong(document_type: DocumentType, number: str) -> str | None:
    """What of a normalised number stays for life; None where it changes with the document, or isn't written so."""
    changes = document_type not in FOR_LIFE or rule_of(document_type, number) is OLD_FOREIGN_CARD
    return None if changes or not _written_so(document_type, number) else lasting(document_type, number)


def readings(number: str) -> set[str]:
    """What a normalised number may be the lasting part of, when nobody says of which document it is."""
    return {lasting(document_type, number) for document_type in DOCUMENT_TYPES}


def _written_so(document_type: DocumentType, number: str) -> bool:
    return rule_of(document_type, number).pattern.fullmatch(number) is not None
