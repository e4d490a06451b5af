"""Typed text is escaped on every page: never markup, a template or a script."""

from collections.abc import Callable
from typing import Any

import pytest
from markupsafe import escape

from services.portal.domain import item_of
from tests.records.test_kinds import DEGREE, SKILL, TITLE, WORK
from tests.support.browsing import Browsing
from tests.support.people import EDUCATION
from tests.support.portal import Member

HOSTILE = (
    "<script>hit()</script>", "\"><img src=x onerror=hit()>", "<svg/onload=hit()>", "{{ 7*7 }}{% raw %}", "&lt;b&gt;",
    "</textarea><script>hit()</script>", "' onfocus='hit()' x='", "javascript:hit()",
)  # fmt: skip
OWN_KINDS: dict[str, dict[str, Any]] = {
    "education": EDUCATION, "degree": DEGREE, "title": TITLE, "skill_certificate": SKILL, "work_experience": WORK,
}  # fmt: skip
PLAIN = {"level", "degree", "trade", "start", "end", "issued_on", "approved_on", "valid_from", "valid_to"}
DAY = {"education": "end", "degree": "issued_on", "title": "approved_on", "skill_certificate": "valid_to",
       "work_experience": "start"}  # fmt: skip
MARKS = ("<script>hit", "<img src=x", "<svg/onload", "49{%", "' onfocus='hit")


def texts(kind: str, row: dict[str, Any]) -> list[str]:
    terms = PLAIN | ({"title"} if kind in ("title", "work_experience") else set())
    return [name for name, value in row.items() if isinstance(value, str) and name not in terms]


@pytest.mark.parametrize("kind", OWN_KINDS)
async def test_every_text_field_of_every_kind_is_shown_as_it_was_typed(member: Member, kind: str) -> None:
    row = OWN_KINDS[kind]
    for text in HOSTILE:
        hostile = row | dict.fromkeys(texts(kind, row), text)
        record = await member.add(kind, hostile)
        for path in (f"/records/{record}", f"/records/{record}/delete", item_of(kind).path, "/"):
            harmless((await member.browsing.get(path)).text)
        refused = await member.browsing.submit(f"/file/{kind}/new", **as_form(hostile) | {DAY[kind]: "x"})
        assert refused.status_code == 422
        harmless(refused.text)
        assert escape(text) in refused.text


def as_form(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items() if value} | {"end_open": "1"}


def harmless(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert not any(mark in page for mark in MARKS)


async def test_query_parameters_are_not_written_into_pages(shared: Member) -> None:
    for text in HOSTILE:
        for path, name in (("/help", "note"), ("/", "note"), ("/file/education", "note"), ("/account/looks", "cursor")):
            harmless((await shared.browsing.ask("GET", path, params={name: text})).text)


async def test_the_log_in_form_returns_escaped_input(nobody: Callable[[], Browsing]) -> None:
    for text in HOSTILE:
        typed = {"document_number": text, "phone": text, "captcha": text, "next": text, "scale": text}
        answer = await nobody().submit("/login", **typed)
        assert answer.status_code == 422
        harmless(answer.text)
