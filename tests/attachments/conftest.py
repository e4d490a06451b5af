"""Fixtures for tests of attachments: a practitioner who uploads, and waiting for a verdict."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from kit.files import encrypted_bucket
from kit.files.encrypted_bucket import EncryptedBucket
from tests.support.people import Person
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

ATTACHMENTS = "/api/attachments"


@dataclass
class Uploader:
    """A practitioner at the API of attachments."""

    person: Person

    @property
    def id(self) -> str:
        return self.person.id

    async def record(self, data: dict[str, Any] | None = None, kind: str = "education") -> str:
        return str((await self.person.created(data, kind=kind))["record_id"])

    async def send(self, record_id: str, content: bytes, title: str = "学历证书扫描件", **form: Any) -> httpx2.Response:
        files = {"file": (form.pop("name", "scan.jpg"), content, form.pop("type", "image/jpeg"))}
        path = f"{ATTACHMENTS}/records/{record_id}/attachment"
        return await self.person.call("POST", path, files=files, data={"title": title, **form})

    async def sent(self, record_id: str, content: bytes, title: str = "学历证书扫描件") -> dict[str, Any]:
        response = await self.send(record_id, content, title)
        assert response.status_code == 202, response.text
        return dict(response.json())

    async def look(self, record_id: str) -> httpx2.Response:
        return await self.person.call("GET", f"{ATTACHMENTS}/records/{record_id}/attachment")

    async def delete(self, record_id: str) -> httpx2.Response:
        return await self.person.call("DELETE", f"{ATTACHMENTS}/records/{record_id}/attachment")

    async def file(self, attachment_id: str, which: str = "image") -> httpx2.Response:
        return await self.person.call("GET", f"{ATTACHMENTS}/attachments/{attachment_id}/{which}")

    async def verdict(self, record_id: str, within: float = 15) -> dict[str, Any]:
        """The attachment once it has a verdict."""

        async def judged() -> dict[str, Any] | None:
            found = dict((await self.look(record_id)).raise_for_status().json())
            return None if found["state"] == "checking" else found

        return await eventually(judged, within, "a verdict") or {}

    async def judged(self, content: bytes) -> dict[str, Any]:
        """The verdict on a scan of a new record."""
        record_id = await self.record()
        await self.sent(record_id, content)
        return await self.verdict(record_id)

    async def in_record(self, record_id: str) -> dict[str, Any] | None:
        """The attachment as the record has it."""
        return (await self.person.get(record_id)).raise_for_status().json()["attachment"]  # type: ignore[no-any-return]


@pytest.fixture
def uploader(person: Person) -> Uploader:
    return Uploader(person)


@pytest.fixture
def another(new_person: Callable[[], Person]) -> Uploader:
    return Uploader(new_person())


@pytest_asyncio.fixture
async def bucket(stack: RunningStack) -> AsyncIterator[EncryptedBucket]:
    async with encrypted_bucket.connect(stack.blobs("attachments"), stack.cipher("attachments")) as opened:
        yield opened
