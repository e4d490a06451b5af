"""Access audit: every read of another person's file is stored before it is served, and published as an event."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Self

from kit.core.clock import Clock
from kit.core.documents import PERSON, Document
from kit.core.errors import Hidden, InvalidFields
from kit.core.ids import new_id
from kit.mongo import Collection, Database, Index
from kit.security.tokens import Caller

ACCESS_LOG = "looks"
FORGET_SECONDS = 180 * 24 * 3600  # the publisher has published them long before


class AccessEntry(Document):
    """One access: by whom (staff or client id), in which role, to which document of whom, and why."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | set(Document.model_fields)

    practitioner_id: str
    who: str
    role: str
    what: str
    document_id: str
    reason: str

    @classmethod
    def noted(
        cls, access_id: str, practitioner_id: str, *, who: str, role: str, what: str, document_id: str, reason: str,
        at: datetime,
    ) -> Self:  # fmt: skip
        """An access that another service published."""
        return cls.first(
            at=at, by=who, action="noted", id=access_id, practitioner_id=practitioner_id, who=who, role=role, what=what,
            document_id=document_id, reason=reason,
        )  # fmt: skip

    @classmethod
    def of(cls, caller: Caller, role: str, practitioner_id: str, what: str, document_id: str, *, at: datetime) -> Self:
        """An access by this caller."""
        return cls.first(
            at=at, by=caller.label, action="looked", id=new_id(), practitioner_id=practitioner_id, who=caller.subject,
            role=role, what=what, document_id=document_id, reason=caller.reason,
        )  # fmt: skip


class AccessAudit:
    """Lets staff with a role of `readers`, and clients, read another person's dossier once the access is stored."""

    def __init__(self, database: Database, clock: Clock, readers: Sequence[str]) -> None:
        self._readers = readers
        expiry = Index([("created_at", 1)], expireAfterSeconds=FORGET_SECONDS)
        self._entries, self._clock = Collection(database, ACCESS_LOG, AccessEntry, [expiry]), clock
        self.prepare = self._entries.prepare

    async def authorize_read(self, caller: Caller, person: str, scope: str, what: str, document_id: str) -> str:
        """The id of the person whose dossier the caller may read: their own, or as staff or client any.

        Raises `NotFound` for all other callers, 422 `reason_required` if staff give no reason.
        """
        if caller.kind == "practitioner":
            return caller.own(person)
        if person == "me":
            raise Hidden
        role = self._role(caller, scope)
        if caller.kind == "staff" and not caller.reason:
            raise InvalidFields.one("X-Access-Reason", "reason_required", "请填写查看该人员信息的原因")
        await self._note(caller, role, person, what, document_id)
        return person

    async def record(self, caller: Caller, scope: str, person: str, what: str, document_id: str) -> None:
        """Store an action on a person's dossier, with the reason if given; the person sees it in the access log."""
        await self._note(caller, self._role(caller, scope), person, what, document_id)

    async def record_shown(self, caller: Caller, people: Sequence[str], what: str, reason: str) -> None:
        """Store that a call which is not a read shows these people; `reason` unless the caller gives one."""
        audited = replace(caller, reason=caller.reason or reason)
        role = next((role for role in self._readers if role in caller.roles), caller.kind)
        at = self._clock.now()
        entries = [AccessEntry.of(audited, role, person, what, person, at=at) for person in people]
        await self._entries.insert_all(entries)

    async def last(self, person: str, what: str) -> datetime | None:
        """The time of the last access to this of a person, in this service."""
        found = await self._entries.find({PERSON: person, "what": what}, sort=[("created_at", -1)], limit=1)
        return found[0].created_at if found else None

    def _role(self, caller: Caller, scope: str) -> str:
        """The role in which the caller reads. Raises `Hidden`, so that the answer does not disclose what exists."""
        if scope in caller.scopes:
            return "client"
        found = next((role for role in self._readers if role in caller.roles), None)
        if found is None:
            raise Hidden
        return found

    async def _note(self, caller: Caller, role: str, person: str, what: str, document_id: str) -> None:
        await self._entries.insert(AccessEntry.of(caller, role, person, what, document_id, at=self._clock.now()))
