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
PAUSE_SECONDS = 0.025  # between two looks at a scan that is not judged yet
BOUNDARY = "scan-of-a-record"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="title"\r\n\r\nscan\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="scan.jpg"\r\n\r\n'
).encode()


@dataclass(frozen=True)
class Place:
    """A record without a scan, and the token of whose it is."""

    record_id: str
    token: str

    @property
    def path(self) -> str:
        return f"{ATTACHMENTS}/records/{self.record_id}/attachment"

    def upload(self, jpeg: bytes) -> bytes:
        """The request with a file that differs from every other: what stands behind its end is nothing to a decoder."""
        body = HEAD + jpeg + self.record_id.encode() + f"\r\n--{BOUNDARY}--\r\n".encode()
        head = [f"POST {self.path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {self.token}"]
        head += [f"Content-Type: multipart/form-data; boundary={BOUNDARY}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body


async def whole(files: int, at_once: int) -> Answer:
    """Scans a second, from the first upload to the last verdict that stands in the database."""
    stack, jpeg = Stack.running(), scan()
    async with connections(stack.gateway_port, CONNECTIONS) as door, stack.database("attachments") as database:
        places = await _places(stack, door, database, files)

        async def upload(place: Place) -> None:
            await asked(door, place.upload(jpeg))

        began = time.perf_counter()
        await each(places, upload, at_once)
        uploaded = time.perf_counter() - began
        await _until_count(database, COLLECTION, {"record_id": _among(places), "state": "accepted"}, files)
        lasted = time.perf_counter() - began
    return {"per_second": files / lasted, "uploads_per_second": files / uploaded, "bytes": len(jpeg)}


async def paced(files: int, pace: float) -> Answer:
    """From the begin of an upload to the first look that shows its verdict, at a pace that doesn't wait."""
    stack = Stack.running()
    jpeg = scan()
    took = list[float]()
    async with connections(stack.gateway_port, CONNECTIONS) as door, stack.database("attachments") as database:
        left = iter(await _places(stack, door, database, files))
        await at_pace(pace, files / pace, lambda: _judged(door, next(left), jpeg, took))
    return percentiles(took)


async def _judged(door: Target, place: Place, jpeg: bytes, took: list[float]) -> None:
    text = place.upload(jpeg)
    look = request("GET", place.path, place.token).encode()
    began = time.perf_counter()
    await asked(door, text)
    while json.loads(await asked(door, look))["state"] == "checking":
        await asyncio.sleep(PAUSE_SECONDS)
    took.append(time.perf_counter() - began)


async def _places(stack: Stack, door: Target, database: Database, count: int) -> list[Place]:
    """Records, made beforehand; attachments has been told of all of them."""
    tokens = [stack.token(str(uuid4())) for _ in range(PEOPLE)]

    async def made(number: int) -> Place:
        token = tokens[number % PEOPLE]
        text = request("POST", RECORDS, token, BODY).encode()
        return Place(str(json.loads(await asked(door, text))["record_id"]), token)

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
