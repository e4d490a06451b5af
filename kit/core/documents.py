"""Versioned documents: who changed what and when is stored in the document itself."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter
from typing_extensions import TypedDict

from kit.observability import tracing

T = TypeVar("T")
Cursor = tuple[datetime, str]
"""Where a page of a list ended: when the last document was created, and its id."""
PERSON = "practitioner_id"
"""The field of documents and events that holds the id of the person whom they concern."""
RESTORED = "restored"
"""The action of a version made by a restore, because the topic already had newer versions."""


class FieldChange(TypedDict):
    """One field of one version: `old` is null in the version that created it."""

    field: str
    old: JsonValue
    new: JsonValue


class Entry(BaseModel):
    """One version in a document's history."""

    model_config = ConfigDict(frozen=True)

    version: int
    at: datetime
    by: str
    action: str
    changes: list[FieldChange]


class Document(BaseModel):
    """A versioned document, never updated in place. Subclasses add fields, and a method for each way they change."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    UNTRACKED: ClassVar[frozenset[str]] = frozenset(
        {"id", "version", "action", "changed", "created_at", "updated_at", "history", "traceparent", "author"}
    )

    id: str = Field(alias="_id")
    version: int
    action: str  # what made this version …
    changed: list[str]  # … and which fields it changed: the last entry of the history, for readers without the history
    author: str = ""  # … and who made it; empty in documents of releases before the audit trail
    created_at: datetime
    updated_at: datetime
    history: list[Entry] = []
    traceparent: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The span that wrote this version, where its process traces (kit.observability.tracing)."""

    @classmethod
    def first(cls, *, at: datetime, by: str, action: str, **fields: object) -> Self:
        """Version 1, for the constructors of a subclass; its history says that `by` created all of its fields.

        Raises ValidationError for a field that the document does not have and for a value that does not fit its field.
        """
        blank = {"version": 0, "action": "", "changed": [], "created_at": at, "updated_at": at}
        draft = cls.model_validate({**fields, **blank}, extra="forbid")
        return draft._become(draft, {}, at, by, action)

    def next_version(self, changes: Mapping[str, object], *, at: datetime, by: str, action: str) -> Self:
        """The next version with `changes` made; its history says which fields differ.

        For the transitions of a subclass: methods with typed arguments. Raises KeyError for a field that the document
        does not have, ValidationError for a value that does not fit its field.
        """
        fields = _fields(type(self))
        valid = {name: fields[name].validate_python(value) for name, value in changes.items()}
        return self._become(self.model_copy(update=valid), self.facts(), at, by, action)

    def _become(self, draft: Self, before: dict[str, JsonValue], at: datetime, by: str, action: str) -> Self:
        changes = differences(before, draft.facts())
        entry = Entry.model_construct(version=self.version + 1, at=at, by=by, action=action, changes=changes)
        made = {"action": action, "author": by, "changed": [change["field"] for change in changes], "updated_at": at}
        made["traceparent"] = tracing.traceparent()
        return draft.model_copy(update={**made, "version": entry.version, "history": [*self.history, entry]})

    def facts(self) -> dict[str, JsonValue]:
        """The fields whose changes the history shows, as JSON values."""
        return self.model_dump(mode="json", exclude=set(self.UNTRACKED))


@cache
def _fields(model: type[Document]) -> Mapping[str, TypeAdapter[object]]:
    """What validates each field that a transition may change."""
    own = {name: field for name, field in model.model_fields.items() if name not in Document.model_fields}
    annotated: dict[str, Any] = {name: Annotated[field.annotation, field] for name, field in own.items()}
    return {name: TypeAdapter(annotation) for name, annotation in annotated.items()}


def field_of(document: Mapping[str, object], name: str, kind: type[T]) -> T:
    """A field of a document as it is stored. Raises `KeyError` without it, `TypeError` when its type is another."""
    value = document[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value


def differences(old: dict[str, JsonValue], new: dict[str, JsonValue]) -> list[FieldChange]:
    """The fields in which two states differ."""
    names = dict.fromkeys([*old, *new])
    return [
        FieldChange(field=name, old=old.get(name), new=new.get(name))
        for name in names
        if old.get(name) != new.get(name)
    ]
