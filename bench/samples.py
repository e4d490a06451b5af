"""Sample data: an education record of the usual size, for new people each time."""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any
from uuid import uuid4

from motor.motor_asyncio import AsyncIOMotorCollection

from kit.core.clock import SystemClock
from services.records.domain import Record

KIND = "education"
CHUNK = 5_000
DATA: dict[str, Any] = {
    "school": "同济大学",
    "level": "大学本科",
    "length": "四年",
    "major": "土木工程",
    "principal": "裴钢",
    "start": "2004-09-01",
    "end": "2008-07-01",
    "certificate_no": "102471200805001234",
    "issued_on": "2008-07-01",
    "registration_no": None,
}
BODY = {"kind": KIND, "data": DATA}

Stored = dict[str, Any]


def documents(count: int, *, each: int = 1) -> Iterator[Stored]:
    """Yield `count` documents as records stores them, `each` of them per person."""
    person = ""
    for number in range(count):
        if number % each == 0:
            person = str(uuid4())
        yield document(person)


async def fill(collection: AsyncIOMotorCollection[Stored], count: int, *, each: int = 1) -> None:
    """Write that many documents directly."""
    made = documents(count, each=each)
    while chunk := list(islice(made, CHUNK)):
        await collection.insert_many(chunk, ordered=False)


def document(person: str) -> Stored:
    """Copy a document made by the service's own code, which is a thousand times faster than making each."""
    made, by = _made(), f"practitioner:{person}"
    return {**made, "_id": str(uuid4()), "practitioner_id": person, "history": [{**made["history"][0], "by": by}]}


@cache
def _made() -> Stored:
    record = Record.first(
        at=SystemClock().now(),
        by="practitioner:nobody",
        action="created",
        id="nothing",
        practitioner_id="nobody",
        kind=KIND,
        data=DATA,
        request="0" * 64,
    )
    return record.model_dump(by_alias=True)
