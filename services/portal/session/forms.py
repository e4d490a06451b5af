"""What the forms of all pages share: errors by field, and codes as they are typed."""

import unicodedata
from collections.abc import Mapping

from kit.core.errors import AppError, InvalidFields
from services.portal.client.backend import Refused


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
