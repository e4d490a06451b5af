"""Made-up people with valid identity documents, as a card reader would send them."""

import base64
import random
from datetime import date, timedelta
from io import BytesIO
from typing import Any

from PIL import Image

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_CHARACTERS = "10X98765432"
_SHANGHAI_DISTRICTS = {"310101": "黄浦区", "310104": "徐汇区", "310106": "静安区", "310115": "浦东新区"}
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN_NAMES = "建国建华志强秀英丽娜海燕文博晓东雪梅永康明轩"


def resident_id(district: str, birth: date, sequence: int) -> str:
    """Return a resident identity number with its check character (GB 11643); an odd sequence is a man's."""
    digits = f"{district}{birth:%Y%m%d}{sequence:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return digits + _CHECK_CHARACTERS[total % 11]


def card(*, number: str, name: str, ethnicity: str, address: str, authority: str) -> dict[str, Any]:
    """Return the body of `POST /api/identity/practitioners` for a resident identity card read at a window."""
    return {
        "source": "card_reader",
        "document_type": "resident_id",
        "document_number": number,
        "name": name,
        "sex": "male" if int(number[16]) % 2 else "female",
        "ethnicity": ethnicity,
        "birth_date": f"{number[6:10]}-{number[10:12]}-{number[12:14]}",
        "address": address,
        "authority": authority,
        "valid_from": "2020-01-15",
        "valid_to": "2040-01-15",
        "long_term": False,
        "portrait": portrait(),
        "reader": {"device_id": "window-1"},
    }


# of the system, since hypothesis seeds the global one: two people of one sequence would have one number
_random = random.SystemRandom()


def random_card() -> dict[str, Any]:
    """Return the card of a new person of working age."""
    code, district = _random.choice(list(_SHANGHAI_DISTRICTS.items()))
    birth = date(1965, 1, 1) + timedelta(days=_random.randrange(30 * 365))  # old enough for every record of the samples
    return card(
        number=resident_id(code, birth, _random.randrange(1, 1000)),
        name=_random.choice(_SURNAMES) + "".join(_random.sample(_GIVEN_NAMES, 2)),
        ethnicity="汉",
        address=f"上海市{district}示例路{_random.randrange(1, 999)}号",
        authority=f"上海市公安局{district.removesuffix('区').removesuffix('新')}分局",
    )


def random_phone() -> str:
    return f"139{_random.randrange(10**8):08d}"


def portrait() -> str:
    """Return a plain grey JPEG of the size of a card's photo, in base64."""
    buffer = BytesIO()
    Image.new("RGB", (102, 126), (190, 195, 200)).save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()
