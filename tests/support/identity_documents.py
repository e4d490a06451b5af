"""Invented people with every type of identity document, as a window registers them."""

import random
import string
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from deploy.local.people import portrait, resident_id
from services.identity.practitioners.identity_documents import DocumentType, check_digit, mrz_check_digit

Papers = dict[str, Any]


def _digits(count: int) -> str:
    return "".join(random.choices(string.digits, k=count))


def _birth() -> date:
    return date(1965, 1, 1) + timedelta(days=random.randrange(10_000))


def _eighteen(region: str) -> tuple[str, Papers]:
    birth, sequence = _birth(), _digits(3)
    first = f"{region}{birth:%Y%m%d}{sequence}"
    sex = "male" if int(sequence[2]) % 2 else "female"
    return first + check_digit(first), {"birth_date": birth.isoformat(), "sex": sex}


def _letters(count: int, of: str = string.ascii_uppercase) -> str:
    """Letters of a name nobody else has: two people of one name and one day of birth may be one person."""
    return "".join(random.choices(of, k=count))


def _by_hand(document_type: DocumentType, number: str, **more: object) -> Papers:
    return {
        "source": "manual", "document_type": document_type, "document_number": number,
        "name": f"司徒{_letters(3, '望明德轩博雅安宁清远文华')}", "sex": "female",
        "birth_date": _birth().isoformat(), "valid_from": "2021-03-01", "valid_to": "2031-03-01",
    } | more  # fmt: skip


def _by_reader(document_type: DocumentType, number: str, **more: object) -> Papers:
    return _by_hand(document_type, number) | {
        "source": "card_reader", "authority": "上海市公安局", "reader": {"device_id": "window-7"},
        "portrait": portrait(),
    } | more  # fmt: skip


def resident() -> Papers:
    birth = _birth()
    number = resident_id("310106", birth, random.randrange(1, 1000))
    said = {"birth_date": birth.isoformat(), "sex": "male" if int(number[16]) % 2 else "female"}
    return _by_reader("resident_id", number, ethnicity="穿青人", address="上海市静安区示例路1号", **said)


def residence_permit() -> Papers:
    number, said = _eighteen(random.choice(["810000", "820000", "830000"]))
    return _by_reader("hmt_residence_permit", number, address="上海市静安区示例路2号", **said)


def foreign_card() -> Papers:
    number, said = _eighteen("931840")
    return _by_reader(
        "foreign_permanent_resident_id", number, name="史密斯", name_latin="SMITH, JOHN", nationality="USA", **said
    )


def old_foreign_card() -> Papers:
    birth = _birth()
    first = f"USA3101{birth:%y%m%d}1"
    return foreign_card() | {
        "document_number": first + mrz_check_digit(first), "birth_date": birth.isoformat(), "sex": "male",
    }  # fmt: skip


def passport(country: str = "FRA") -> Papers:
    return _by_hand(
        "passport", f"{random.choice('ABCDEFG')}{_digits(8)}", nationality=country, name=f"MARTIN {_letters(8)}"
    )


def military() -> Papers:
    return _by_hand("military_id", f"军字第{_digits(7)}号")


def hk_macao_permit() -> Papers:
    return _by_hand("hk_macao_permit", f"{random.choice('HM')}{_digits(8)}")


def taiwan_permit() -> Papers:
    return _by_hand("taiwan_permit", _digits(8))


PAPERS: Mapping[str, Callable[[], Papers]] = {
    made.__name__: made
    for made in (
        resident, residence_permit, foreign_card, old_foreign_card, passport, military, hk_macao_permit, taiwan_permit,
    )
}  # fmt: skip
