"""The measuring process of the rows about scans: uploads at the gateway, and when their verdicts can be seen."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from bench.load import Target, asked, at_pace, connections, each, percentiles
from bench.processes import Answer, answer
from bench.samples import BODY
from bench.stack import Stack
from bench.wire import request
from kit.mongo import Database
from services.attachments.store import COLLECTION, KNOWN_RECORDS
from tests.support.scans import scan

ATTACHMENTS, RECORDS = "/api/attachments", "/api/records/practitioners/me/records"
CONNECTIONS, PEOPLE = 16, 200
PAUSE_SECONDS = 0.025  # between two polls for a verdict
BOUNDARY = "scan-of-a-record"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="title"\r\n\r\nscan\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="scan.jpg"\r\n\r\n'
).encode()


@dataclass(frozen=True)
class Place:
    """A record without a scan, and its owner's token."""

    record_id: str
    token: str

    @property
    def path(self) -> str:
        return f"{ATTACHMENTS}/records/{self.record_id}/attachment"

    def upload(self, jpeg: bytes) -> bytes:
        """Return a request with a unique file: decoders ignore bytes after the end of a JPEG."""
        body = HEAD + jpeg + self.record_id.encode() + f"\r\n--{BOUNDARY}--\r\n".encode()
        head = [f"POST {self.path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {self.token}"]
        head += [f"Content-Type: multipart/form-data; boundary={BOUNDARY}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body


async def whole(files: int, at_once: int) -> Answer:
    """Measure scans a second, from the first upload to the last verdict in the database."""
    stack, jpeg = Stack.running(), scan()
    async with connections(stack.gateway_port, CONNECTIONS) as gateway, stack.database("attachments") as database:
        places = await new_places(stack, gateway, database, files)

        async def upload(place: Place) -> None:
            await asked(gateway, place.upload(jpeg))

        began = time.perf_counter()
        await each(places, upload, at_once)
        uploaded = time.perf_counter() - began
        await _until_count(database, COLLECTION, {"record_id": _among(places), "state": "accepted"}, files)
        lasted = time.perf_counter() - began
    return {"per_second": files / lasted, "uploads_per_second": files / uploaded, "bytes": len(jpeg)}


async def paced(files: int, pace: float) -> Answer:
    """Measure from the start of an upload to the first poll that shows its verdict, at a fixed rate (open loop)."""
    stack = Stack.running()
    jpeg = scan()
    took = list[float]()
    async with connections(stack.gateway_port, CONNECTIONS) as gateway, stack.database("attachments") as database:
        left = iter(await new_places(stack, gateway, database, files))
        await at_pace(pace, files / pace, lambda: _judged(gateway, next(left), jpeg, took))
    return percentiles(took)


async def _judged(gateway: Target, place: Place, jpeg: bytes, took: list[float]) -> None:
    text = place.upload(jpeg)
    look = request("GET", place.path, place.token).encode()
    began = time.perf_counter()
    await asked(gateway, text)
    while json.loads(await asked(gateway, look))["state"] == "checking":
        await asyncio.sleep(PAUSE_SECONDS)
    took.append(time.perf_counter() - began)


async def new_places(stack: Stack, gateway: Target, database: Database, count: int) -> list[Place]:
    """Create records and wait until attachments has consumed their events."""
    tokens = [stack.token(str(uuid4())) for _ in range(PEOPLE)]

    async def made(number: int) -> Place:
        token = tokens[number % PEOPLE]
        text = request("POST", RECORDS, token, BODY).encode()
        return Place(str(json.loads(await asked(gateway, text))["record_id"]), token)

    places = await asyncio.gather(*map(made, range(count)))
    await _until_count(database, KNOWN_RECORDS, {"_id": _among(places)}, count)
    return places


def _among(places: Sequence[Place]) -> dict[str, object]:
    return {"$in": [place.record_id for place in places]}


async def _until_count(database: Database, collection: str, query: dict[str, object], count: int) -> None:
    async with asyncio.timeout(120):
        while await database[collection].count_documents(query) < count:
            await asyncio.sleep(0.1)


WORK: dict[str, Callable[..., Awaitable[Answer]]] = {"whole": whole, "paced": paced}


async def work(what: str, **task: object) -> Answer:
    return await WORK[what](**task)


if __name__ == "__main__":
    answer(work)
