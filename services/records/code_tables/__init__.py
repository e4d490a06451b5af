"""The code tables: the terms that a coded field accepts, in CSV files beside this module.

The value of a coded field is the term as printed on the certificate. `scheme` and `scheme_codes`: the national standard
that defines the term, and its codes there; empty for a term that is used in practice but in no standard. All terms are
accepted, so that old records stay editable; `offered`: new forms list the term.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from kit.core.text import Text

CODE_TABLES = {
    "education_level": "学历",
    "degree": "学位",
    "professional_title": "职称",
    "trade": "专业工种",
    "skill_level": "级别",
    "registration_category": "注册类别",
    "registration_status": "证书状态",
    "contract_type": "合同类型",
    "credit_nature": "诚信性质",
}

_TERM = Text(100)


class Code(BaseModel):
    """One term of a table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    label: str
    scheme: str | None
    scheme_codes: tuple[str, ...]
    equivalent_of: str | None
    parent: str | None
    offered: bool


@cache
def codes(name: str) -> tuple[Code, ...]:
    """Return the terms of a table in the order of its drop-down; KeyError when there is no such table."""
    if name not in CODE_TABLES:
        raise KeyError(name)
    lines = files(__name__).joinpath(f"{name}.csv").read_text("utf-8").splitlines()
    return tuple(_code(row) for row in csv.DictReader(lines))


@cache
def _accepted(name: str) -> frozenset[str]:
    return frozenset(each.code for each in codes(name))


def _code(row: dict[str, str]) -> Code:
    return Code(
        code=row["code"],
        label=row["label"],
        scheme=row["scheme"] or None,
        scheme_codes=tuple(filter(None, row["scheme_code"].split("|"))),
        equivalent_of=row["equivalent_of"] or None,
        parent=row["parent"] or None,
        offered=row["offered"] == "true",
    )


@dataclass(frozen=True)
class Term:
    """Annotation of a coded field: `Annotated[str, Term("degree")]`."""

    table: str

    def accept(self, value: str) -> str:
        """Return the term. Raises `PydanticCustomError` if it is not in the table."""
        if value not in _accepted(self.table):
            message = "请从“{title}”列表中选择一项"
            raise PydanticCustomError("unknown_term", message, {"title": CODE_TABLES[self.table]})
        return value

    def __get_pydantic_core_schema__(self, source: type[str], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Clean the text first, then look it up."""
        text = _TERM.__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_after_validator_function(self.accept, text)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Name the table instead of listing it: tables grow, schemas stay."""
        return handler(schema) | {"x-code-table": self.table}
