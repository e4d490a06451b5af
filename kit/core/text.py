"""Text as people type it: cleaned, checked, and counted in code points."""

import re
import string
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final

import regex
from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

REQUIRED: Final = "请填写此项"
"""The sentence for a required field that is empty."""
SEPARATOR = "\u00b7"
"""The one separator the state's rule allows in a person's name."""

_LINE_BREAKS = r"\t\n\v\f\r\x85\u2028\u2029"
# regex brings the newest Unicode tables: Python 3.11's own would take extensions H to J, real name characters, for
# unassigned. Of the format characters only those that reverse the reading order are refused: joiners are spelling.
_NOT_ALLOWED = regex.compile(rf"(?V1)[[\p{{Cc}}\p{{Cs}}\p{{Co}}\p{{Cn}}\u202a-\u202e\u2066-\u2069]--[{_LINE_BREAKS}]]")
# What no script spells a name with: emoji, what makes them up, and other pictures. Han radicals are pictures to
# Unicode, and so are descriptions of characters that have no code (⿰): names have both.
_NOT_IN_NAMES = regex.compile(
    r"(?V1)[[\p{So}--[\p{Han}\u2ff0-\u2fff]]\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Me}"
    r"\ufe0e\ufe0f\U000e0020-\U000e007f]"
)
_WHITESPACE = regex.compile(r"\s+")
_LINE_BREAK = regex.compile(f"[{_LINE_BREAKS}]")
# Pasted text often begins or ends with invisible characters, and a field of nothing else would look empty.
_EDGE = string.whitespace + "\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200C)))
_EDGE += "\u2060\ufeff"
_APART = regex.compile(r"[\p{P}\p{Z}\p{Cf}]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_IN_A_TABLE = re.compile(r"([0-9]{4})(?:[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?|([0-9]{2})([0-9]{2}))", re.ASCII)
_LOOK_ALIKES = frozenset("\u2022\u2027\u30fb\uff65\u22c5\u2e31\uff0e.")
_SEPARATORS = regex.compile(r"[\u2022\u2027\u30fb\uff65\u22c5\u2e31\uff0e]|(?<=\p{Han})\.(?=\p{Han})")


def clean_text(value: object) -> str:
    """Return one line of text: trimmed, line breaks and tabs folded to a space, nothing else changed."""
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", REQUIRED if value is None else "请填写文字")
    if value.isprintable():  # the usual case, ten times as fast: nothing refused and no line break is printable
        return value.strip(_EDGE)
    if _NOT_ALLOWED.search(value):
        raise PydanticCustomError("character_not_allowed", "含有不能使用的字符，请删除后重新输入")
    line: str = _WHITESPACE.sub(_one_space_for_a_break, value.strip(_EDGE))
    return line


def clean_name(value: object) -> str:
    """Return a person's name: `clean_text`, with every look-alike separator folded to U+00B7.

    Unicode normalisation is never applied: NFC turns some name characters into others. Letters of any script and digits
    (the guide's own examples) are names; emoji and other pictures are refused.
    """
    name = clean_text(value)
    if not _LOOK_ALIKES.isdisjoint(name):  # rarely
        name = _SEPARATORS.sub(SEPARATOR, name)
    if _NOT_IN_NAMES.search(name):
        raise PydanticCustomError("character_not_allowed", "姓名中不能使用表情和图形符号，请删除后重新输入")
    return name


def name_key(name: str) -> str:
    """A key that is the same for all spellings of a person's name: case, width, separators and blanks don't count.

    For ASCII names the order of words doesn't count either: identity documents disagree about it.
    """
    words = [word for word in _APART.split(unicodedata.normalize("NFKC", name).casefold()) if word]
    return "".join(sorted(words) if name.isascii() else words)


def day_from_text(value: object) -> date:
    """Return the calendar day that is written YYYY-MM-DD.

    Other ISO 8601 forms (20140301, 2014-W09-6) and numbers, which pydantic takes for timestamps, are refused.
    """
    if isinstance(value, str) and _DAY.fullmatch(value):
        with suppress(ValueError):  # 30 February has the form but is not a day
            return date.fromisoformat(value)
    if value is None or value == "":
        raise PydanticCustomError("date_invalid", REQUIRED)
    raise PydanticCustomError("date_invalid", "请填写真实存在的日期，格式如 2014-03-01")


CalendarDay = Annotated[date, BeforeValidator(day_from_text)]
"""A calendar day, written YYYY-MM-DD."""


def day_as_written(text: str) -> str:
    """The same day as YYYY-MM-DD where a table writes it as 2014/3/1, 2014.03.01, 20140301 or 2014年3月1日."""
    found = _DAY_IN_A_TABLE.fullmatch(text)
    return "{}-{:0>2}-{:0>2}".format(*filter(None, found.groups())) if found else text


def today_of(info: ValidationInfo) -> date:
    """Today, from the validation context: `context={"today": …}`.

    Raises RuntimeError without it: a missing clock must not pass as valid data.
    """
    if not info.context:
        raise RuntimeError("validated without `today` in the context")
    today: date = info.context["today"]
    return today


def _one_space_for_a_break(run: "regex.Match[str]") -> str:
    return " " if _LINE_BREAK.search(run[0]) else run[0]


@dataclass(frozen=True)
class Text:
    """Annotation of a text field: `Annotated[str, Text(200)]`. Length is counted in code points.

    Codes that pydantic has too (`missing`, `string_type`, `string_too_long`) mean the same here.
    """

    max_length: int

    def clean(self, value: object) -> str:
        """Return the value as it is kept, before its length is judged."""
        return clean_text(value)

    def accept(self, value: object) -> str:
        """Return the cleaned value, or refuse it: empty, too long, or with characters no field may hold."""
        text = self.clean(value)
        if not text:
            raise PydanticCustomError("missing", REQUIRED)
        if len(text) > self.max_length:
            limit = {"max_length": self.max_length}
            raise PydanticCustomError("string_too_long", "最多填写 {max_length} 个字，请缩短后重新输入", limit)
        return text

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to clean before it checks, and to publish the limits."""
        limits = core_schema.str_schema(min_length=1, max_length=self.max_length)
        return core_schema.no_info_before_validator_function(self.accept, limits)


@dataclass(frozen=True)
class Name(Text):
    """Annotation of a field that holds a person's name: `Annotated[str, Name()]`."""

    max_length: int = 100

    def clean(self, value: object) -> str:
        """Return the name with its separator folded."""
        return clean_name(value)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Mark the field, so that a form can treat it as a name."""
        return handler(schema) | {"x-type": "name"}
