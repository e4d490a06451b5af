"""All stored data of the stack, raw: every document, record, object, Redis key and log, searched for marker texts."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path

import bson
from bson.raw_bson import RawBSONDocument
from redis.asyncio import Redis

from kit import kafka, mongo
from kit.files import blobs, encrypted_bucket
from kit.files.blobs import ChecksumMismatch
from kit.kafka import Record
from tests.support.stack import RunningStack

Place = tuple[str, bytes]
SERVICES = ("attachments", "identity", "notify", "records", "signature")
BUCKETS = ("attachments", "identity", "signature")


async def in_databases(stack: RunningStack) -> AsyncIterator[Place]:
    raw = bson.CodecOptions(document_class=RawBSONDocument)
    for service in SERVICES:
        async with mongo.connect(stack.mongo, service) as database:
            for name in await database.list_collection_names():
                async for document in database.get_collection(name, codec_options=raw).find({}):
                    yield f"{service}.{name}", document.raw


async def in_topics(stack: RunningStack) -> AsyncIterator[Place]:
    """The compacted topics; records of other topics expire."""
    settings = stack.kafka_settings()
    async with kafka.admin(settings) as admin:
        topics = [name for name in await admin.topics() if name.endswith((".changes", ".dead")) and own(name)]
    found: list[Record] = []
    await kafka.read_all(settings, topics, found.append)
    for record in found:
        headers = b" ".join(value for _, value in record.headers)
        yield record.topic, b" ".join((record.key or b"", headers, record.value or b""))


def own(topic: str) -> bool:
    """Whether the topic belongs to the stack, not to another test."""
    return topic.partition(".")[0] in SERVICES


async def in_buckets(stack: RunningStack) -> AsyncIterator[Place]:
    """The objects as stored, and decrypted: a marker in an encrypted object has to be removed, too."""
    for name in BUCKETS:
        cipher = stack.cipher(name)
        async with (
            blobs.connect(stack.blobs(name)) as bucket,
            encrypted_bucket.connect(stack.blobs(name), cipher) as sealed,
        ):
            for key in await bucket.keys(""):
                yield f"bucket {name}", key.encode() + b" " + (await bucket.get(key) or b"")
                with suppress(ChecksumMismatch):  # a portrait, or what another test changed
                    yield f"bucket {name}", await sealed.get(key, clear=True) or b""


async def in_redis(redis: "Redis") -> AsyncIterator[Place]:
    async for key in redis.scan_iter("*"):
        value = str(await redis.get(key)) if await redis.type(key) == "string" else ""
        yield "redis", f"{key} {value}".encode()


def in_logs(stack: RunningStack) -> Iterable[Place]:
    return [("logs", path.read_bytes()) for path in (Path(stack.facts["data"]) / "logs").glob("*.log*")]


async def everything(stack: RunningStack, redis: "Redis") -> AsyncIterator[Place]:
    """All places."""
    for places in (in_databases(stack), in_topics(stack), in_buckets(stack), in_redis(redis)):
        async for place in places:
            yield place
    for place in in_logs(stack):
        yield place


async def find_markers(places: AsyncIterator[Place], marks: Iterable[str]) -> dict[str, set[str]]:
    """The places that contain each marker, as UTF-8 or as escaped by JSON."""
    forms = {mark: (mark.encode(), json.dumps(mark)[1:-1].encode()) for mark in marks}
    found: dict[str, set[str]] = {mark: set() for mark in forms}
    async for place, content in places:
        for mark, written in forms.items():
            if any(form in content for form in written):
                found[mark].add(place)
    return found


async def held(stack: RunningStack, person: str) -> set[str]:
    """The collections with documents of a person."""
    places = set()
    for service in SERVICES:
        async with mongo.connect(stack.mongo, service) as database:
            for name in await database.list_collection_names():
                query = {"$or": [{field: person} for field in ("_id", "practitioner_id", "subject")]}
                if await database[name].find_one(query):
                    places.add(f"{service}.{name}")
    return places
