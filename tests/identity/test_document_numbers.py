"""Which identity document numbers are possible, and which part stays when a document is renewed."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.practitioners.identity_documents import (
    DOCUMENT_TYPES,
    DocumentType,
    check_digit,
    lasting,
    mrz_check_digit,
    normalised,
    possible_lasting_parts,
    rule_of,
)
from tests.support.scale import scaled

TODAY = date(2026, 11, 24)
SYNTHETIC: list[tuple[DocumentType, str]] = [
    ("resident_id", "310101199003071230"),
    ("resident_id", "31010119900307006X"),
    ("resident_id", "310225197806151231"),  # an abolished county
    ("resident_id", "310112196006151231"),  # born before the district was created
    ("hmt_residence_permit", "810000199003071237"),
    ("hmt_residence_permit", "820000199003071239"),
    ("hmt_residence_permit", "830000199003071230"),
    ("foreign_permanent_resident_id", "931840198105010011"),
    ("foreign_permanent_resident_id", "USA310181050115"),
    ("hk_macao_permit", "H12345678"),
    ("hk_macao_permit", "M1234567801"),
    ("taiwan_permit", "12345678"),
    ("taiwan_permit", "1234567802"),
    ("passport", "E12345678"),
    ("passport", "C01X00T47"),
    ("military_id", "军字第1234567号"),
    ("military_id", "20061234"),
]
IMPOSSIBLE: list[tuple[DocumentType, str]] = [
    ("resident_id", "310101209903071232"),  # in the future
    ("resident_id", "310101199002301233"),  # 30 February
    ("resident_id", "110001199003071238X"),
    ("resident_id", "310101199003071231"),
    ("resident_id", "810000199003071237"),  # a residence permit's
    ("resident_id", "931840198105010011"),
    ("resident_id", "310101900307123"),
    ("hmt_residence_permit", "310101199003071230"),
    ("hmt_residence_permit", "840000199003071238"),
    ("foreign_permanent_resident_id", "931840198105010012"),
    ("foreign_permanent_resident_id", "USA310181050116"),
    ("foreign_permanent_resident_id", "USA310181130115"),
    ("hk_macao_permit", "A12345678"),
    ("hk_macao_permit", "H123456789"),
    ("hk_macao_permit", "12345678"),
    ("taiwan_permit", "123456789"),
    ("taiwan_permit", "T12345678"),
    ("passport", "E-1234"),
    ("passport", "A" * 21),
    ("military_id", "字第1234号"),
    ("military_id", "军字第123号"),
]


def exists(document_type: DocumentType, number: str, today: date = TODAY) -> bool:
    return rule_of(document_type, number).exists(number, today)


@pytest.mark.parametrize(("document_type", "number"), SYNTHETIC)
def test_a_real_number_is_possible(document_type: DocumentType, number: str) -> None:
    assert exists(document_type, number)


@pytest.mark.parametrize(("document_type", "number"), IMPOSSIBLE)
def test_an_impossible_number_is_refused(document_type: DocumentType, number: str) -> None:
    assert not exists(document_type, number)


@pytest.mark.parametrize("document_type", DOCUMENT_TYPES)
@given(number=st.text(max_size=30))
def test_every_text_can_be_checked(document_type: DocumentType, number: str) -> None:
    written = normalised(number)
    assert exists(document_type, written) in (True, False)
    assert lasting(document_type, written) in possible_lasting_parts(written)


def test_no_region_code_is_refused() -> None:
    """Every code that has ever been possible for a county, in force or abolished; permits have other codes.

    The short run takes every seventh code, so that each digit occurs at each position.
    """
    for region in range(100_000, 900_000, scaled(1, 7)):
        if region not in (810_000, 820_000, 830_000):
            first = f"{region}19600615123"
            assert exists("resident_id", first + check_digit(first)), region


def test_nobody_is_born_tomorrow_or_too_long_ago() -> None:
    def born(day: date) -> bool:
        first = f"310101{day:%Y%m%d}123"
        return exists("resident_id", first + check_digit(first))

    assert born(TODAY)
    assert not born(TODAY + timedelta(days=1))
    assert born(date(TODAY.year - 130, 1, 1))
    assert not born(date(TODAY.year - 131, 12, 31))


@pytest.mark.parametrize(
    ("document_type", "numbers"),
    [
        ("hk_macao_permit", ["H12345678", "H1234567801", "H1234567802"]),
        ("taiwan_permit", ["12345678", "1234567801", "1234567899"]),
    ],
)
def test_a_renewed_permit_belongs_to_the_same_person(document_type: DocumentType, numbers: list[str]) -> None:
    assert len({lasting(document_type, number) for number in numbers}) == 1


@pytest.mark.parametrize(
    ("typed", "meant"), [("３１０１０１ 19900307006ｘ", "31010119900307006X"), (" h12345678\t", "H12345678")]
)
def test_a_number_is_normalised_before_comparison(typed: str, meant: str) -> None:
    assert normalised(typed) == meant


def test_the_check_digit_of_machine_readable_documents() -> None:
    assert mrz_check_digit("USA31018105011") == "5"
    assert mrz_check_digit("L898902C") == "3"  # the specimen passport of ICAO 9303, part 4
