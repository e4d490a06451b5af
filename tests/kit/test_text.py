"""Typed text: what is cleaned up, what is refused, and what must be kept unchanged."""

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from kit.core.text import Name, Text, clean_name, clean_text

SCHOOL: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(5)])
PERSON: TypeAdapter[str] = TypeAdapter(Annotated[str, Name()])


def refusal(value: object) -> str:
    with pytest.raises(PydanticCustomError) as refused:
        clean_text(value)
    return refused.value.type


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  同济大学 \t", "同济大学"),
        ("\u3000同济大学\u00a0\u200b\ufeff", "同济大学"),
        ("上海市\r\n杨浦区\t\t四平路", "上海市 杨浦区 四平路"),
        ("上海市 \n  杨浦区\u2028四平路", "上海市 杨浦区 四平路"),
        ("Tongji  University", "Tongji  University"),
    ],
)
def test_a_pasted_line_is_trimmed_and_its_breaks_become_one_space(typed: str, kept: str) -> None:
    assert clean_text(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("同济\x00大学", id="NUL"),
        pytest.param("同济大学\x1f", id="control character at the edge"),
        pytest.param("同济\x1c\n大学", id="control character beside a line break"),
        pytest.param("同济\x9b大学", id="C1 control character"),
        pytest.param("同济\ud842大学", id="lone surrogate"),
        pytest.param("张\ue81e", id="private use in the base plane"),
        pytest.param("张\U000f0000", id="private use in plane 15"),
        pytest.param("张\ufffe", id="noncharacter"),
        pytest.param("张\U0003ffff", id="noncharacter of plane 3"),
        pytest.param("张\u0378", id="unassigned"),
        pytest.param("\u202e学大济同", id="reversed reading order"),
    ],
)
def test_characters_that_cannot_be_stored_or_shown_are_refused(typed: str) -> None:
    assert refusal(typed) == "character_not_allowed"


@pytest.mark.parametrize("value", [None, 11, True, b"text", ["11"], {"$gt": ""}])
def test_a_value_that_is_not_text_is_refused_rather_than_converted(value: object) -> None:
    assert refusal(value) == "string_type"


@pytest.mark.parametrize(
    "rare",
    [
        pytest.param("𠮷", id="extension B"),
        pytest.param("\U00031350", id="extension H, younger than Python 3.11"),
        pytest.param("\U0002ebf0", id="extension I, younger than Python 3.11"),
        pytest.param("\uf967", id="compatibility character that NFC would turn into 不"),
        pytest.param("ｅ", id="full width, which NFKC would narrow"),
        pytest.param("e\u0301", id="combining accent"),
        pytest.param("葛\U000e0100", id="variation sequence"),
        pytest.param("〇", id="ideographic zero"),
    ],
)
def test_rare_characters_are_kept_unchanged(rare: str) -> None:
    assert clean_name(rare) == rare
    assert clean_text(rare) == rare


@pytest.mark.parametrize("separator", list("·•‧・･⋅\u2e31．."))
def test_every_form_of_the_name_separator_is_normalised(separator: str) -> None:
    assert clean_name(f"阿卜杜拉{separator}买买提{separator}艾力") == "阿卜杜拉\u00b7买买提\u00b7艾力"


@pytest.mark.parametrize("name", ["John F. Kennedy", "J.R. Smith", "李.", ".李", "李.A"])
def test_a_full_stop_stays_where_it_is_not_between_han_characters(name: str) -> None:
    assert clean_name(name) == name


def test_a_full_stop_between_han_characters_beyond_the_base_plane_is_folded() -> None:
    assert clean_name("𠮷.𠮷") == "𠮷\u00b7𠮷"


@pytest.mark.parametrize(
    "name",
    [
        "𠮷〇々", "\U00031350\U0002ebf0", "⿰王并", "⽅芳", "葛\U000e0100", "O´Neill", "O'Brien-Smith", "SMITH<<JOHN",
        "Suresh a/l Kumar", "Nguyễn Thị e\u0301", "ئەركىن", "བསྟན་འཛིན", "ᠪᠠᠶᠠᠷ", "می\u200cنا", "ꀀꂰ", "14", "张（小）",
    ],
)  # fmt: skip
def test_no_name_of_a_real_person_is_refused(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.parametrize(
    "symbol",
    [
        "😀",
        "☆",
        "❤\ufe0f",
        "\ufe0f",
        "1\u20e3",
        "👍🏻",
        "\U0001f3fb",
        "🇨🇳",
        "©",
        "™",
        "‼",
        "□",
        "\ufffd",
        "♂",
        "㊗",
    ],
)
def test_emoji_and_symbols_are_refused_in_names_but_kept_in_other_text(symbol: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        clean_name(f"李{symbol}明")
    assert refused.value.type == "character_not_allowed"
    assert clean_text(f"李{symbol}明") == f"李{symbol}明"


def test_text_that_is_not_a_name_keeps_its_separators() -> None:
    assert clean_text("沪•建.字") == "沪•建.字"


def test_length_counts_visible_characters_after_cleaning() -> None:
    assert SCHOOL.validate_python("  𠮷𠮷𠮷𠮷𠮷\n") == "𠮷" * 5
    with pytest.raises(ValidationError) as refused:
        SCHOOL.validate_python("𠮷" * 6)
    [error] = refused.value.errors()
    assert (error["type"], error["msg"]) == ("string_too_long", "最多填写 5 个字，请缩短后重新输入")


def test_a_name_of_a_hundred_characters_fits_and_one_more_does_not() -> None:
    name = "𠮷" * 49 + "·" + "龘" * 50
    assert PERSON.validate_python(name) == name
    with pytest.raises(ValidationError):
        PERSON.validate_python(name + "𠮷")


@pytest.mark.parametrize("blank", ["", "   ", "\r\n\t", "\u3000", "\u200b\ufeff"])
def test_a_field_with_invisible_content_counts_as_missing(blank: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SCHOOL.validate_python(blank)
    [error] = refused.value.errors()
    assert (error["type"], error["msg"]) == ("missing", "请填写此项")


def test_a_very_long_value_is_checked_in_linear_time() -> None:
    with pytest.raises(ValidationError):
        PERSON.validate_python("李" + " " * 1_000_000 + ".")


def test_the_schema_publishes_the_limits() -> None:
    assert SCHOOL.json_schema() == {"type": "string", "minLength": 1, "maxLength": 5}
    assert PERSON.json_schema() == {"type": "string", "minLength": 1, "maxLength": 100, "x-type": "name"}
