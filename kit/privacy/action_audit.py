"""Actions that change no document of their own: commands, look-ups that found nobody, keys that were replaced.

Each is stored as a document, before the action is carried out, and published for the audit trail.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from kit.core.audit import ActionRecorded, Audited
from kit.core.clock import Clock
from kit.core.documents import Document
from kit.core.events import NewEvent, Publication
from kit.core.ids import new_id
from kit.mongo import Collection, Conflict, Database, Duplicate, Fields, Index
from kit.settings import KeyRing

ACTIONS, KEYS = "actions", "keys_in_use"
FORGET_SECONDS = 180 * 24 * 3600  # the publisher has published them long before


class RecordedAction(Document):
    """One action: of which kind, whom or what it concerns, and facts of it without personal data."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | set(Document.model_fields)

    kind: str
    practitioner_id: str
    details: dict[str, str]

    @classmethod
    def now(cls, kind: str, action: str, by: str, about: str, details: Mapping[str, str], clock: Clock) -> Self:
        """An action that is about to be carried out."""
        fields = {"kind": kind, "practitioner_id": about, "details": details}
        return cls.first(at=clock.now(), by=by, action=action, id=new_id(), **fields)


class ActionAudit:
    """Records actions. What is recorded but fails afterwards has an entry, too."""

    def __init__(self, database: Database, clock: Clock) -> None:
        expiry = Index([("created_at", 1)], expireAfterSeconds=FORGET_SECONDS)
        self._actions, self._clock = Collection(database, ACTIONS, RecordedAction, [expiry]), clock
        self.prepare = self._actions.prepare

    async def record(self, kind: str, action: str, by: str, about: str, **details: str) -> None:
        """Record an action before it is carried out; `about`: the id of a person, an account, or what else it concerns.

        Raises `Unavailable`: then it must not be carried out.
        """
        await self._actions.insert(RecordedAction.now(kind, action, by, about, details, self._clock))


def action_recorded(document: Fields) -> list[NewEvent]:
    """The entry of a recorded action."""
    return [ActionRecorded.of(document, document_id=document["_id"], by=document["author"], changed=[])]


class KeysInUse(Document):
    """The keys of a ring, the current one first: each as its id and the beginning of its SHA-256."""

    ring: str
    keys: list[str]

    @classmethod
    def noted(cls, ring: str, keys: list[str], clock: Clock) -> Self:
        """The keys of a ring that were in use when the audit began."""
        return cls.first(at=clock.now(), by="settings", action="in_use", id=f"keys:{ring}", ring=ring, keys=keys)

    def replaced(self, keys: list[str], clock: Clock) -> Self:
        """Other keys: one was added, removed or made the current one."""
        return self.next_version({"keys": keys}, at=clock.now(), by="settings", action="changed")


class KeyAudit:
    """Records when a process starts with other keys than the one before."""

    def __init__(self, database: Database, clock: Clock, rings: Mapping[str, Sequence[str]]) -> None:
        self._prepare_actions = ActionAudit(database, clock).prepare
        self._collection, self._clock = Collection(database, KEYS, KeysInUse), clock
        self._rings = {name: list(keys) for name, keys in rings.items()}

    async def prepare(self) -> None:
        """Create the index of actions, and record changed keys, once; a readiness check of the worker."""
        await self._prepare_actions()
        for ring, keys in list(self._rings.items()):
            await self._note(ring, keys)
            self._rings.pop(ring, None)  # another call may have been first

    async def _note(self, ring: str, keys: list[str]) -> None:
        known = await self._collection.get(f"keys:{ring}")
        try:
            if known is None:
                await self._collection.insert(KeysInUse.noted(ring, keys, self._clock))
            elif known.keys != keys:
                await self._collection.replace(known.replaced(keys, self._clock))
        except (Conflict, Duplicate):  # another worker that starts with the same keys
            return


def key_names(ring: KeyRing) -> list[str]:
    """The keys of a ring as the audit shows them."""
    ids = sorted(ring.keys, key=lambda name: (name != ring.current, name))
    return [key_name(name, ring.keys[name]) for name in ids]


def key_name(name: str, key: bytes) -> str:
    """The id of a key and the beginning of its SHA-256: keys are random, so that it reveals nothing of them."""
    return f"{name}:{hashlib.sha256(key).hexdigest()[:12]}"


OPERATIONS: Mapping[str, Publication] = {
    ACTIONS: action_recorded,
    KEYS: lambda document: [Audited("keys", ["ring", "keys"]).entry(document)],
}
"""What every service publishes of its operators' actions."""
