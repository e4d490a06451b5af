"""The operations on records: who may do what, and what is written."""

import hashlib
from collections.abc import Mapping
from functools import partial

import orjson
from pydantic import ValidationError

from contracts.attachments import AttachmentChanged
from kit.core.clock import Clock, shanghai_date
from kit.core.errors import AppError, InvalidFields, NotFound
from kit.core.ids import derived_id, new_id
from kit.mongo import Conflict, Cursor, Duplicate, retry_on_conflict
from kit.privacy.access_audit import AccessAudit
from kit.security.tokens import Caller
from services.records.domain import Data, Kind, Record, parse_data
from services.records.kinds import KINDS
from services.records.store import Records

SCOPE = "records:read"


class VersionConflict(Exception):
    """The caller's version is not the current one, which is `current`."""

    def __init__(self, current: Record) -> None:
        super().__init__(current.id)
        self.current = current


class RecordService:
    """A practitioner's records: the person edits their own; reads by staff and clients are audited."""

    def __init__(self, records: Records, audit: AccessAudit, clock: Clock) -> None:
        self._records = records
        self._audit = audit
        self._clock = clock

    async def page(
        self, caller: Caller, person: str, kind: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Record], Cursor | None]:
        """A page of a person's records, newest first, and the cursor of the next page."""
        if kind:
            _kind_of(kind)
        owner = await self._audit.authorize_read(caller, person, SCOPE, "records", person)
        return await self._records.of_person(owner, kind, after, limit)

    async def create(
        self, caller: Caller, person: str, kind: str, raw: Mapping[str, object], key: str | None
    ) -> Record:
        """Create a record; `key` is the idempotency key: a repeated request returns the record as it was created.

        Raises 409 if the key was used for another request, 422.
        """
        owner = caller.own(person)
        data = await self._data(owner, _writable(kind), raw)
        record_id = derived_id("record", owner, key) if key else new_id()
        request = _fingerprint(kind, raw)
        record = Record.entered(record_id, owner, kind, data, request=request, at=self._clock.now(), by=caller.label)
        try:
            await self._records.insert(record)
        except Duplicate:
            return await self._created_before(record)
        return record

    async def _created_before(self, record: Record) -> Record:
        existing = await self._records.any_state(record.id)
        if existing is None or existing.request != record.request:
            raise AppError(409, "idempotency_conflict", "同一个 Idempotency-Key 已用于内容不同的请求")
        return existing.as_created()

    async def check(self, caller: Caller, person: str, kind: str, raw: Mapping[str, object]) -> None:
        """Validate data as `create` and `change` do, without writing. Raises 422 with all errors."""
        await self._data(caller.own(person), _writable(kind), raw)

    async def get(self, caller: Caller, record_id: str) -> Record:
        """The current version. Raises `NotFound` if unknown or deleted, or if the caller may not see it."""
        record = await self._found(record_id)
        await self._audit.authorize_read(caller, record.practitioner_id, SCOPE, "record", record_id)
        return record

    async def _found(self, record_id: str) -> Record:
        record = await self._records.get(record_id)
        if record is None:
            raise NotFound
        return record

    async def _own(self, caller: Caller, record_id: str) -> Record:
        record = await self._found(record_id)
        caller.own(record.practitioner_id)
        return record

    async def change(self, caller: Caller, record_id: str, version: int, raw: Mapping[str, object]) -> Record:
        """Replace the data; unchanged data make no new version. Raises `VersionConflict`."""
        record = await self._current(caller, record_id, version)
        data = await self._data(record.practitioner_id, KINDS[record.kind], raw)
        if data == record.data:
            return record
        return await self._write(caller, record.edited(data, at=self._clock.now(), by=caller.label))

    async def delete(self, caller: Caller, record_id: str, version: int) -> None:
        """Delete the record; the deletion is a version. Raises `VersionConflict`."""
        record = await self._current(caller, record_id, version)
        await self._write(caller, record.deleted(at=self._clock.now(), by=caller.label))

    async def _current(self, caller: Caller, record_id: str, version: int) -> Record:
        record = await self._own(caller, record_id)
        _writable(record.kind)
        if record.version != version:
            raise VersionConflict(record)
        return record

    async def _write(self, caller: Caller, version: Record) -> Record:
        try:
            await self._records.replace(version)
        except Conflict:
            raise VersionConflict(await self._own(caller, version.id)) from None
        return version

    async def follow(self, event: AttachmentChanged) -> None:
        """Store the state of the record's scan in a new version, unless a newer state is stored."""
        await retry_on_conflict(partial(self._follow, event))  # the record may be changed at the same time

    async def _follow(self, event: AttachmentChanged) -> None:
        record = await self._records.get(event.record_id)
        if record and record.outdated_by(event):
            await self._records.replace(record.scan_changed(event, at=self._clock.now(), by="service:attachments"))

    async def _data(self, owner: str, kind: Kind, raw: Mapping[str, object]) -> Data:
        today = shanghai_date(self._clock.now())
        birth_year = await self._records.birth_year(owner)
        try:
            return parse_data(kind, raw, today, birth_year).model_dump(mode="json")
        except ValidationError as error:
            raise InvalidFields.of(error, "data") from error


def _kind_of(name: str) -> Kind:
    if name not in KINDS:
        raise InvalidFields.one("kind", "unknown_kind", "没有这种记录类型")
    return KINDS[name]


def _writable(name: str) -> Kind:
    kind = _kind_of(name)
    if kind.maintained_by != "practitioner":
        raise AppError(403, "read_only_kind", f"{kind.title}由主管部门的系统提供，不能自行填写或修改")
    return kind


def _fingerprint(kind: str, raw: Mapping[str, object]) -> str:
    return hashlib.sha256(orjson.dumps([kind, raw], option=orjson.OPT_SORT_KEYS)).hexdigest()
