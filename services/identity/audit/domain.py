"""An entry of the audit trail and its hash; a head, which signs the trail up to an entry."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from contracts.access import AccessLogged
from contracts.audit import ActionRecorded
from kit.core.clock import rfc3339
from kit.core.documents import Document, field_of
from kit.core.errors import Reject

Entry = Mapping[str, object]
"""An entry as it is stored: its number is `_id`. The fields are described in docs/security/audit.md."""
BEFORE_THE_FIRST = "0" * 64
"""The previous hash of the first entry, and the hash of a trail without entries."""
TRAIL = "audit-trail"
"""Whom the events of heads concern: they are in one partition, in order."""
MAX_DETAILS, MAX_TEXT = 20, 1_000
NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True)
class Action:
    """What an entry records; `event` identifies the event, which may arrive twice."""

    event: str
    kind: str
    action: str
    by: str
    person: str
    document: str
    at: str
    details: Mapping[str, str]

    @classmethod
    def of_event(cls, event: str, found: ActionRecorded) -> Self:
        """An action as a service published it. Raises `Reject` if it is too large to be one of ours."""
        return cls(
            event, found.kind, found.action, found.by, found.practitioner_id, found.document_id, rfc3339(found.at),
            found.details,
        ).checked()  # fmt: skip

    @classmethod
    def of_access(cls, event: str, found: AccessLogged) -> Self:
        """An access to a dossier, without the reason, which may name people."""
        kind = "client" if found.role == "client" else "staff"
        details = {"what": found.what, "document": found.document_id, "role": found.role}
        return cls(
            event, "access", found.action, f"{kind}:{found.who}", found.practitioner_id, found.access_id,
            rfc3339(found.at), details,
        ).checked()  # fmt: skip

    def checked(self) -> Self:
        """The same action. Raises `Reject` if no service of ours would publish it."""
        texts = (self.event, self.kind, self.action, self.by, self.person, self.document, *self.details.values())
        if len(self.details) > MAX_DETAILS or any(len(text) > MAX_TEXT for text in texts):
            raise Reject("an action with more or longer texts than an entry may have")
        if not all(map(NAME.fullmatch, self.details)):
            raise Reject("a detail with an unusual name")
        return self


def chained(actions: Sequence[Action], last: Entry | None, recorded_at: datetime) -> list[Entry]:
    """The entries of the actions, after the entry `last`."""
    sequence, previous = place_of(last)
    entries = list[Entry]()
    for action in actions:
        sequence += 1
        entry = {"_id": sequence, **vars(action), "recorded_at": rfc3339(recorded_at), "previous": previous}
        previous = hash_of(entry)
        entries.append({**entry, "hash": previous})
    return entries


def place_of(entry: Entry | None) -> tuple[int, str]:
    """The number and the hash of an entry; 0 before the first."""
    return (field_of(entry, "_id", int), field_of(entry, "hash", str)) if entry else (0, BEFORE_THE_FIRST)


def exported(entry: Entry) -> dict[str, object]:
    """The entry as auditors get it: its number is `sequence`."""
    return {"sequence": entry["_id"], **{name: value for name, value in entry.items() if name != "_id"}}


def hash_of(entry: Entry) -> str:
    """SHA-256, in hex, of the exported entry without `hash` in canonical JSON (RFC 8785)."""
    hashed = {name: value for name, value in entry.items() if name not in ("_id", "hash")}
    return sha256(_canonical({**hashed, "sequence": entry["_id"]}))


def sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


class Head(Document):
    """The signed statement that the trail up to the entry `sequence` has this hash. Its number is its id."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | set(Document.model_fields)

    number: int
    sequence: int
    hash: str
    signed_at: datetime
    statement: str

    @classmethod
    def signed(cls, number: int, place: tuple[int, str], statement: str, *, at: datetime) -> Self:
        """The head with this number."""
        fields = {"number": number, "sequence": place[0], "hash": place[1], "signed_at": at, "statement": statement}
        return cls.first(at=at, by="identity", action="signed", id=head_id(number), **fields)


def head_id(number: int) -> str:
    """The id of a head; ids are in the order of the numbers."""
    return f"{number:010}"


def stated(
    number: int, place: tuple[int, str], previous: str | None, at: datetime, replaces: int | None = None
) -> dict[str, object]:
    """What a head states; `previous`: the statement of the head before it.

    `replaces`: the first of the heads before it that count no longer, because a restored backup lacked their entries.
    """
    before = sha256(previous) if previous else BEFORE_THE_FIRST
    return {
        "number": number, "sequence": place[0], "hash": place[1], "signed_at": rfc3339(at), "previous": before,
        **({"replaces": replaces} if replaces is not None else {}),
    }  # fmt: skip
