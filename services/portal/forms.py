"""The form of a record: built from its kind's fields, read back into data, compared when two people changed it."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from kit.errors import AppError, InvalidFields
from services.portal.answers import Code, Field, Kind, Record, Value
from services.portal.backend import Refused
from services.portal.catalogue import Catalogue
from services.portal.domain import OPEN_ENDED, UNTIL_TODAY, day

OPEN = "_open"
"""The field that says that a day is left open (至今) is called after the day."""


@dataclass(frozen=True)
class FormField:
    """A field as a page shows it; `options` of a drop-down, `open` when a day may be left open and is."""

    field: Field
    value: str
    error: str
    options: list[Code]
    may_be_open: bool
    open: bool


async def fields_of(
    catalogue: Catalogue, kind: Kind, values: Mapping[str, str], errors: Mapping[str, str]
) -> list[FormField]:
    """The fields of a kind with what was typed and what is wrong with it."""
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
    """The terms that are offered, and the one that is there already, be it in the table or not."""
    if not field.code_table:
        return []
    codes = await catalogue.codes(field.code_table)
    unknown = [] if not value or any(code.code == value for code in codes) else [Code(code=value, label=value)]
    return [code for code in codes if code.offered or code.code == value] + unknown


def values_of(record: Record) -> dict[str, str]:
    """The fields as the form of a record begins."""
    filled = {name: _text(value) for name, value in record.data.items() if value is not None}
    opened = {name + OPEN: "1" for kind, name in OPEN_ENDED if kind == record.kind and record.data.get(name) is None}
    return filled | opened


def data_of(kind: Kind, form: Mapping[str, str]) -> dict[str, Value]:
    """A record's data from a form; a day that has to be given, and is not, is absent."""
    given = {field: _value(field, form) for field in kind.fields}
    return {field.name: value for field, value in given.items() if not (field.type == "date" and value == "")}


def _value(field: Field, form: Mapping[str, str]) -> Value:
    text = "" if field.name + OPEN in form else form.get(field.name, "")
    if field.type == "terms":
        return [line for line in text.splitlines() if line.strip()]
    if not text.strip() and not field.required:
        return None
    return day(text) if field.type == "date" else text


def _text(value: Value) -> str:
    return "\n".join(value) if isinstance(value, list) else value or ""


def forgotten(kind: Kind, form: Mapping[str, str]) -> dict[str, str]:
    """What only a form can know: a day that is neither given nor left open on purpose."""
    return {
        name: f"请填写，或勾选“{UNTIL_TODAY}”"
        for of, name in OPEN_ENDED
        if of == kind.name and not form.get(name, "").strip() and name + OPEN not in form
    }


def errors_of(error: AppError) -> dict[str, str]:
    """The sentences by the form's fields."""
    fields = error.fields if isinstance(error, Refused | InvalidFields) else []
    return {one.field.removeprefix("data."): one.message for one in fields}


def sentence_of(error: AppError) -> str:
    """What is wrong, for a form with one field."""
    return "；".join(errors_of(error).values()) or str(error.detail)


def code_of(form: Mapping[str, str]) -> str:
    """A code as it was meant: full-width digits and blanks come from some keyboards."""
    return unicodedata.normalize("NFKC", form.get("code", "")).replace(" ", "")


def fingerprint(record: Record) -> str:
    """Tells whether a record's data are still those a form began with, whatever its version says."""
    return hashlib.sha256(json.dumps(record.data, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Difference:
    """A field of which somebody else made something else."""

    title: str
    mine: str
    theirs: str


def differences(kind: Kind, form: Mapping[str, str], current: Record) -> list[Difference]:
    """Where a form and the record as it is now say something else."""
    mine = data_of(kind, form)
    pairs = [(field, _shown(kind, field, mine), _shown(kind, field, current.data)) for field in kind.fields]
    return [Difference(field.title, own, theirs) for field, own, theirs in pairs if own != theirs]


def _shown(kind: Kind, field: Field, data: Mapping[str, Value]) -> str:
    text = "、".join(_text(data.get(field.name)).splitlines())
    return text or (UNTIL_TODAY if (kind.name, field.name) in OPEN_ENDED else "")
