"""Projections: one by one or in batches, an older version never replaces a newer one; a bad document fails alone."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from bson.errors import InvalidDocument

from kit import mongo
from kit.core.errors import Unavailable
from kit.mongo import Projection
from kit.settings import MongoSettings
from tests.support.names import own_name
from tests.support.processes import free_port
from tests.support.stack import RunningStack


@pytest_asyncio.fixture
async def projection(stack: RunningStack) -> AsyncIterator[Projection]:
    name = own_name("projection")
    async with mongo.connect(stack.mongo, name) as database:
        yield Projection(database, "kept")
        await database.client.drop_database(name)


async def test_of_versions_written_in_any_order_and_twice_the_newest_stays(projection: Projection) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    versions = [(f"document-{number}", version) for number in range(20) for version in range(1, 11)] * 2
    random.Random(seed).shuffle(versions)
    await asyncio.gather(*(projection.put(name, version, {"is": version}) for name, version in versions))
    for number in range(20):
        assert await projection.get(f"document-{number}") == {"_id": f"document-{number}", "version": 10, "is": 10}


async def test_a_document_that_cannot_be_stored_fails_alone_in_its_batch(projection: Projection) -> None:
    puts = [projection.put("good", 1, {"is": "kept"}), projection.put("bad", 1, {"is": object()})]
    puts += [projection.put(f"another-{number}", 1, {}) for number in range(30)]
    answers = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(answer) for answer in answers if answer] == [InvalidDocument]
    assert await projection.get("good") == {"_id": "good", "version": 1, "is": "kept"}
    assert await projection.get("another-29")
    assert await projection.get("bad") is None


async def test_every_caller_of_a_batch_gets_the_error_of_the_database() -> None:
    nowhere = MongoSettings.model_validate({"url": f"mongodb://127.0.0.1:{free_port()}", "timeout_ms": 300})
    async with mongo.connect(nowhere, "nowhere") as database:
        projection = Projection(database, "kept")
        puts = (projection.put(f"document-{number}", 1, {}) for number in range(5))
        for answer in await asyncio.gather(*puts, return_exceptions=True):
            with pytest.raises(Unavailable):
                raise answer or AssertionError("it was kept nowhere")
