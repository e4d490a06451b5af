"""Helpers for the forms of all pages: errors by field, codes."""

import unicodedata
from collections.abc import Mapping

from kit.core.errors import AppError, InvalidFields
from services.portal.client.backend import Refused


def errors_of(error: AppError) -> dict[str, str]:
    """Error messages by form field."""
    fields = error.fields if isinstance(error, Refused | InvalidFields) else []
    return {one.field.removeprefix("data."): one.message for one in fields}


def sentence_of(error: AppError) -> str:
    """The error message for a form with one field."""
    return "；".join(errors_of(error).values()) or str(error.detail)


def code_of(form: Mapping[str, str], name: str = "code") -> str:
    """The code in field `name`, without the full-width digits and blanks that some keyboards produce."""
    return unicodedata.normalize("NFKC", form.get(name, "")).replace(" ", "")
