"""Sample cards: the demo person's, and a new person's for each identity document with a chip."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from deploy.local.people import random_card, resident_id
from deploy.local.samples import demo_card

Card = dict[str, Any]


def _holder(region: str) -> Card:
    """Return a card whose number begins with `region`, with the birth date and sex that the number encodes."""
    birth = date(1970, 1, 1) + timedelta(days=random.randrange(8_000))
    number = resident_id(region, birth, random.randrange(1, 1000))
    sex = "male" if int(number[16]) % 2 else "female"
    return random_card() | {"document_number": number, "birth_date": birth.isoformat(), "sex": sex, "ethnicity": None}


def residence_permit() -> Card:
    """A permit of Hong Kong, Macao or Taiwan residents (港澳台居民居住证)."""
    return _holder(random.choice(("810000", "820000", "830000"))) | {"document_type": "hmt_residence_permit"}


def foreign_card() -> Card:
    """A foreigner's permanent resident card (外国人永久居留身份证)."""
    return _holder("931840") | {
        "document_type": "foreign_permanent_resident_id", "name": "史密斯", "name_latin": "SMITH, JOHN",
        "nationality": "USA", "address": None, "authority": "上海市公安局",
    }  # fmt: skip


CARDS: dict[str, tuple[str, Callable[[], Card]]] = {
    "demo": ("演示人员张伟的身份证", demo_card),
    "resident": ("新人的身份证", random_card),
    "permit": ("新人的港澳台居民居住证", residence_permit),
    "foreign": ("新人的外国人永久居留身份证", foreign_card),
}
