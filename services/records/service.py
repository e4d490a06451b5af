"""What can be done with records; the only place that decides and writes."""

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
    """A practitioner's records: the person keeps their own; staff and clients read them, and are written down."""

    def __init__(self, records: Records, looks: AccessAudit, clock: Clock) -> None:
        self._records, self._looks, self._clock = records, looks, clock

    async def page(
        self, caller: Caller, person: str, kind: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Record], Cursor | None]:
        """A page of a person's records, newest first, and where the next one begins."""
        if kind:
            _known(kind)
        owner = await self._looks.owner(caller, person, SCOPE, "records", person)
        return await self._records.of_person(owner, kind, after, limit)

    async def create(
        self, caller: Caller, person: str, kind: str, raw: Mapping[str, object], key: str | None
    ) -> Record:
        """A new record; the same request with the same key again gets the same answer. Raises 409 for another one."""
        owner = caller.own(person)
        data = await self._data(owner, _writable(kind), raw)
        record_id = derived_id("record", owner, key) if key else new_id()
        request, at, by = _fingerprint(kind, raw), self._clock.now(), caller.label
        record = Record.entered(record_id, owner, kind, data, request=request, at=at, by=by)
        try:
            await self._records.insert(record)
        except Duplicate:
            return await self._answered_before(record)
        return record

    async def _answered_before(self, record: Record) -> Record:
        first = await self._records.any_state(record.id)
        if first is None or first.request != record.request:
            raise AppError(409, "idempotency_conflict", "同一个 Idempotency-Key 已用于内容不同的请求")
        return first.as_created()

    async def check(self, caller: Caller, person: str, kind: str, raw: Mapping[str, object]) -> None:
        """Judge data as `create` and `change` do, and write nothing. Raises 422 with everything that is wrong."""
        await self._data(caller.own(person), _writable(kind), raw)

    async def get(self, caller: Caller, record_id: str) -> Record:
        """The current version. Raises `NotFound`: unknown, deleted, not for the caller to see."""
        record = await self._found(record_id)
        await self._looks.owner(caller, record.practitioner_id, SCOPE, "record", record_id)
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
        """Replace the data; the same data again makes no new version. Raises `VersionConflict`."""
        record = await self._current(caller, record_id, version)
        data = await self._data(record.practitioner_id, KINDS[record.kind], raw)
        if data == record.data:
            return record
        return await self._write(caller, record.edited(data, at=self._clock.now(), by=caller.label))

    async def delete(self, caller: Caller, record_id: str, version: int) -> None:
        """Delete the record (a version too). Raises `VersionConflict`."""
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

    async def follow(self, told: AttachmentChanged) -> None:
        """Let the record tell what became of its scan: a version of its own, unless something newer is known."""
        await retry_on_conflict(partial(self._follow, told))  # somebody may change the record at the same time

    async def _follow(self, told: AttachmentChanged) -> None:
        record = await self._records.get(told.record_id)
        if record and record.outdated_by(told):
            await self._records.replace(record.scan_changed(told, at=self._clock.now(), by="service:attachments"))

    async def _data(self, owner: str, kind: Kind, raw: Mapping[str, object]) -> Data:
        today, birth_year = shanghai_date(self._clock.now()), await self._records.birth_year(owner)
        try:
            return parse_data(kind, raw, today, birth_year).model_dump(mode="json")
        except ValidationError as error:
            raise InvalidFields.of(error, "data") from error


def _known(kind: str) -> Kind:
    if kind not in KINDS:
        raise InvalidFields.one("kind", "unknown_kind", "没有这种记录类型")
    return KINDS[kind]


def _writable(name: str) -> Kind:
    kind = _known(name)
    if kind.maintained_by != "practitioner":
        raise AppError(403, "read_only_kind", f"{kind.title}由主管部门的系统提供，不能自行填写或修改")
    return kind


def _fingerprint(kind: str, raw: Mapping[str, object]) -> str:
    return hashlib.sha256(orjson.dumps([kind, raw], option=orjson.OPT_SORT_KEYS)).hexdigest()
