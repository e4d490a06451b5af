"""Invariants of every transition of every document."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import JsonValue

from kit.core.documents import Document

D = TypeVar("D", bound=Document)


def replayed(document: Document) -> Mapping[str, JsonValue]:
    """The fields as replayed from the history."""
    return {change["field"]: change["new"] for entry in document.history for change in entry.changes}


def checked(before: D, after: D) -> D:
    """Checks that `after` is a valid next version of `before` that can be stored and read again. Returns it."""
    assert after.version == before.version + 1 == len(after.history)
    assert after.history[:-1] == before.history
    last = after.history[-1]
    assert (last.version, last.action, last.at) == (after.version, after.action, after.updated_at)
    assert after.changed == [change["field"] for change in last.changes]
    facts = after.facts()
    assert {name: replayed(after).get(name) for name in facts} == facts
    assert type(after).model_validate(after.model_dump(by_alias=True)) == after
    return after
