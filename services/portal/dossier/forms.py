"""The form of a record: built from the fields of its kind, parsed into data, merged with concurrent changes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from kit.core.errors import FieldError
from kit.core.text import REQUIRED
from services.portal.client.catalogue import Catalogue
from services.portal.client.models import Code, Field, Kind, Record, Value
from services.portal.domain import OPEN_ENDED, UNTIL_TODAY, day

Whose = Literal["mine", "theirs", "both"]
DATA = TypeAdapter(dict[str, Value])
OPEN = "_open"
"""Suffix of the checkbox that leaves a date open (至今)."""


@dataclass(frozen=True)
class FormField:
    """A field as a page shows it; `options` of a drop-down list; `open`: the date is left open."""

    field: Field
    value: str
    error: str
    options: list[Code]
    may_be_open: bool
    open: bool


async def fields_of(
    catalogue: Catalogue, kind: Kind, values: Mapping[str, str], errors: Mapping[str, str]
) -> list[FormField]:
    """The fields of a kind with typed values and errors."""
    return [
        FormField(
            field=field,
            value=values.get(field.name, ""),
            error=errors.get(field.name, ""),
            options=await _options(catalogue, field, values.get(field.name, "")),
            may_be_open=(kind.name, field.name) in OPEN_ENDED,
            open=field.name + OPEN in values,
        )
        for field in kind.fields
    ]


async def _options(catalogue: Catalogue, field: Field, value: str) -> list[Code]:
    """The terms that are offered, and the current value even if it is not offered any more."""
    if not field.code_table:
        return []
    codes = await catalogue.codes(field.code_table)
    unknown = [] if not value or any(code.code == value for code in codes) else [Code(code=value, label=value)]
    return [code for code in codes if code.offered or code.code == value] + unknown


def values_of(record: Record) -> dict[str, str]:
    """The initial form of a record."""
    filled = {name: _text(value) for name, value in record.data.items() if value is not None}
    left_open = {name + OPEN: "1" for kind, name in OPEN_ENDED if kind == record.kind and record.data.get(name) is None}
    return filled | left_open


def data_of(kind: Kind, form: Mapping[str, str]) -> dict[str, Value]:
    """A record's data from a form, without required dates that are empty; check open dates with `open_errors`."""
    values = {field: _value(field, form) for field in kind.fields}
    return {field.name: value for field, value in values.items() if not (field.type == "date" and value == "")}


def _value(field: Field, form: Mapping[str, str]) -> Value:
    text = form.get(field.name, "")
    if field.type == "terms":
        return [line for line in text.splitlines() if line.strip()]
    if not text.strip() and not field.required:
        return None
    return day(text) if field.type == "date" else text


def _text(value: Value) -> str:
    return "\n".join(value) if isinstance(value, list) else value or ""


def open_errors(kind: Kind, form: Mapping[str, str]) -> list[FieldError]:
    """Errors of dates that are both given and left open, or neither: the data can't express that."""
    wrong: list[FieldError] = []
    for field in kind.fields:
        given = bool(form.get(field.name, "").strip())
        left_open = field.name + OPEN in form
        if (kind.name, field.name) in OPEN_ENDED and given == left_open:
            both = f"填写了{field.title}，又勾选了“{UNTIL_TODAY}”，请只保留一项"
            message = both if given else f"{REQUIRED}，或勾选“{UNTIL_TODAY}”"
            wrong.append(FieldError(field=field.name, code="contradiction" if given else "required", message=message))
    return wrong


def base_of(record: Record) -> str:
    """The data that a form was opened with, as a hidden field: shows who changed which field since."""
    return json.dumps(record.data, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class Difference:
    """A field whose value in the form (`mine`) differs from the current record (`theirs`), and who changed it."""

    field: Field
    mine: str
    theirs: str
    whose: Whose


def differences(kind: Kind, form: Mapping[str, str], current: Record) -> list[Difference]:
    """The fields in which a form differs from the current record."""
    mine, base = data_of(kind, form), _base(form)
    found: list[Difference] = []
    for field in kind.fields:
        own = _shown(kind, field, mine)
        theirs = _shown(kind, field, current.data)
        initial = None if base is None else _shown(kind, field, base)
        if own != theirs:
            whose: Whose = "mine" if theirs == initial else "theirs" if own == initial else "both"
            found.append(Difference(field, own, theirs, whose))
    return found


def _base(form: Mapping[str, str]) -> Mapping[str, Value] | None:
    """The initial data of a form; None if the hidden field is not valid."""
    try:
        return DATA.validate_json(form.get("base", ""))
    except ValidationError:
        return None


def merged(kind: Kind, form: Mapping[str, str], current: Record) -> dict[str, str]:
    """The form with concurrent changes of the record; where both changed a field, the form's value stays."""
    changed = {one.field.name for one in differences(kind, form, current) if one.whose == "theirs"}
    changed |= {name + OPEN for name in changed}
    now = {name: text for name, text in values_of(current).items() if name in changed}
    return {name: text for name, text in form.items() if name not in changed} | now


def _shown(kind: Kind, field: Field, data: Mapping[str, Value]) -> str:
    text = "、".join(_text(data.get(field.name)).splitlines())
    return text or (UNTIL_TODAY if (kind.name, field.name) in OPEN_ENDED else "")
