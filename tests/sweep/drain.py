"""Waits until everything that was written has arrived everywhere, and collects what the servers have."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from kit import mongo
from tests.support.evidence import seen_in, versions
from tests.support.identity_clients import CODE
from tests.support.subscriber import headers_of, version_of
from tests.sweep.checks import Found, Scan, Stored, Values, leaks
from tests.sweep.history import DELETED, digest
from tests.sweep.load import SweepLoad

JUDGED = ("accepted", "refused")
NOT_YET = (AssertionError, KafkaError, PyMongoError, OSError, TimeoutError, httpx2.HTTPError)
"""The errors of servers that have not recovered yet."""
Drained = dict[str, float | None]
"""By part: the seconds until it had everything; None if it had not within the limit."""


@dataclass
class Drain:
    """Waits for one part after the other; `within` seconds for all of them together."""

    load: SweepLoad
    within: float
    took: Drained = field(default_factory=dict)
    found: Found = field(default_factory=Found)
    _began: float = field(default_factory=time.monotonic)

    async def run(self) -> Found:
        """Stop the clients, wait, and return what there is."""
        await self.load.stop()
        self.took["clients"] = time.monotonic() - self._began
        parts: dict[str, Callable[[], Awaitable[bool]]] = {
            "scans": self._judged, "topic": self._published, "consumer": self._kept, "feed": self._fed,
            "webhook": self._delivered, "log-ins": self._logged_in,
            "private topics": self._searched,
        }  # fmt: skip
        for name, arrived in parts.items():
            self.took[name] = await self._wait(arrived)
        self._add_values()
        self.found.snapshots = self.load.snapshots.seen
        return self.found

    async def _wait(self, arrived: Callable[[], Awaitable[bool]]) -> float | None:
        while True:
            try:
                if await arrived():
                    return time.monotonic() - self._began
            except NOT_YET as error:
                print(f"not drained yet: {error!r}"[:300])
            if time.monotonic() - self._began > self.within:
                return None
            await asyncio.sleep(0.5)

    async def _judged(self) -> bool:
        """Every scan has a verdict, which its record has, too; also one whose upload was not answered."""
        await self._read_databases()
        known = {record: stored.scan for record, stored in self.found.records.items()}
        acknowledged = {upload.record for upload in self.load.history.uploads if upload.acknowledged}
        judged = all(scan.state in JUDGED and scan.state == known.get(scan.record) for scan in self.found.scans)
        return judged and acknowledged <= {scan.record for scan in self.found.scans}

    async def _read_databases(self) -> None:
        mine = {"practitioner_id": {"$in": [*self.load.persons]}}
        async with mongo.connect(self.load.stack.mongo, "records") as database:
            fields = {"version": 1, "state": 1, "data": 1, "attachment.state": 1}
            records: list[dict[str, Any]] = await database["records"].find(mine, fields).to_list(None)
        async with mongo.connect(self.load.stack.mongo, "attachments") as database:
            scans: list[dict[str, Any]] = (
                await database["attachments"].find(mine, {"record_id": 1, "state": 1, "sha256": 1}).to_list(None)
            )
        self.found.records = {each["_id"]: _stored(each) for each in records}
        self.found.scans = [Scan(each["record_id"], each["state"], each["sha256"]) for each in scans]

    async def _published(self) -> bool:
        await self._read_databases()
        self.found.topic = seen_in(await self.load.topic.read(), self.load.persons)
        published = {(event.id, event.version) for event in self.found.topic}
        return all((record, stored.version) in published for record, stored in self.found.records.items())

    async def _kept(self) -> bool:
        published = await self._published()
        self.found.kept = await versions(self.load.kept.database, "kept", self.load.persons)
        return published and self.found.kept == {
            record: stored.version for record, stored in self.found.records.items()
        }

    async def _fed(self) -> bool:
        return self._has_all("feed")

    async def _delivered(self) -> bool:
        return self._has_all("webhook")

    def _has_all(self, channel: str) -> bool:
        got = {(each.record, each.version) for each in self.load.history.deliveries if each.channel == channel}
        return got >= {(event.id, event.version) for event in self.found.topic}

    async def _logged_in(self) -> bool:
        people = [login.person for login in self.load.history.logins]
        async with mongo.connect(self.load.stack.mongo, "identity") as database:
            stored: list[dict[str, Any]] = (
                await database["sessions"].find({"subject": {"$in": people}}, {"subject": 1}).to_list(None)
            )
        async with httpx2.AsyncClient(timeout=30) as http:
            inbox = (await http.get(f"{self.load.stack.facts['sms_inbox']}/inbox.json")).raise_for_status().json()
        self.found.sessions = Counter(each["subject"] for each in stored)
        self.found.codes = Counter(message["phone"] for message in inbox if CODE.search(message["text"]))
        return True

    async def _searched(self) -> bool:
        secrets = {text for citizen in self.load.pages.citizens for text in (citizen.number, citizen.phone)}
        self.found.leaks = [
            where for topic in self.load.private for where in leaks(await topic.read() + topic.tombstones, secrets)
        ]
        return True

    def _add_values(self) -> None:
        values: Values = {}
        persons = {}
        for record in self.load.topic.records:
            person = headers_of(record).get("ce_partitionkey", "")
            if person in self.load.persons:
                identity, version = version_of(record)
                persons[identity] = person
                values.setdefault(identity, {}).setdefault(version, set()).add(_value(json.loads(record.value)))
        self.found.values, self.found.persons = values, persons


def _stored(document: Mapping[str, Any]) -> Stored:
    return Stored(document["version"], _value(document), (document.get("attachment") or {}).get("state", ""))


def _value(document: Mapping[str, Any]) -> str:
    """The digest of a record's data, also of an event in place of one that could not be published."""
    return DELETED if document.get("state") == "deleted" else digest(document.get("data", {}))
