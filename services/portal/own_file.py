"""A practitioner's own file at the services: every call that their pages make."""

from collections.abc import Mapping

from services.portal.answers import Attachment, Look, Page, Practitioner, Record, Session, Signature
from services.portal.backend import Asker, Backend
from services.portal.settings import ServiceName

OWN_RECORDS = "/practitioners/me/records"
PAGE = 200
MOST_RECORDS = 2_000


class OwnFile:
    """What one person may read and write; every call may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, asker: Asker) -> None:
        self._backend, self._asker = backend, asker

    async def basic(self) -> Practitioner:
        """Basic information."""
        return await self._backend.read(self._asker, "identity", Practitioner, "GET", "/practitioners/me")

    async def portrait(self) -> bytes:
        """The portrait as JPEG."""
        return await self._bytes("identity", "/practitioners/me/portrait")

    async def records(self) -> list[Record]:
        """All records, newest first."""
        found: list[Record] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < MOST_RECORDS:
            query: dict[str, str | int] = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
            page = await self._backend.read(self._asker, "records", Page[Record], "GET", OWN_RECORDS, params=query)
            found, cursor = found + page.items, page.next_cursor
        return found

    async def record(self, record_id: str) -> Record:
        """One record."""
        return await self._backend.read(self._asker, "records", Record, "GET", f"/records/{record_id}")

    async def add(self, kind: str, data: Mapping[str, object], key: str) -> Record:
        """A new record; the same `key` again makes no second one."""
        asked = {"kind": kind, "data": data}
        headers = {"Idempotency-Key": key}
        return await self._backend.read(
            self._asker, "records", Record, "POST", OWN_RECORDS, json=asked, headers=headers
        )

    async def change(self, record_id: str, version: int, data: Mapping[str, object]) -> Record:
        """Replace a record's data. Raises `Refused` 412 with the `current` record."""
        match = {"If-Match": f'"{version}"'}
        path = f"/records/{record_id}"
        return await self._backend.read(self._asker, "records", Record, "PUT", path, json={"data": data}, headers=match)

    async def delete(self, record_id: str, version: int) -> None:
        """Delete a record. Raises `Refused` 412 with the `current` record."""
        match = {"If-Match": f'"{version}"'}
        await self._backend.ask(self._asker, "records", "DELETE", f"/records/{record_id}", headers=match)

    async def upload(self, record_id: str, title: str, content: bytes) -> None:
        """The scan of a record; its verdict follows."""
        files = {"file": ("scan.jpg", content, "image/jpeg")}
        path = f"/records/{record_id}/attachment"
        await self._backend.ask(self._asker, "attachments", "POST", path, files=files, data={"title": title})

    async def attachment(self, record_id: str) -> Attachment:
        """A record's scan. Raises `Refused` 404 when it has none."""
        path = f"/records/{record_id}/attachment"
        return await self._backend.read(self._asker, "attachments", Attachment, "GET", path)

    async def delete_attachment(self, record_id: str) -> None:
        """Make room for another scan."""
        await self._backend.ask(self._asker, "attachments", "DELETE", f"/records/{record_id}/attachment")

    async def picture(self, attachment_id: str, which: str) -> bytes:
        """An accepted scan as JPEG: `image` or `thumbnail`."""
        return await self._bytes("attachments", f"/attachments/{attachment_id}/{which}")

    async def signature(self) -> Signature:
        """How far the signature is."""
        return await self._backend.read(self._asker, "signature", Signature, "GET", "/practitioners/me/signature")

    async def sessions(self) -> list[Session]:
        """Where the person is logged in."""
        return (await self._backend.read(self._asker, "identity", Page[Session], "GET", "/sessions")).items

    async def end_session(self, session_id: str) -> None:
        """Log out somewhere; `current`: here."""
        await self._backend.ask(self._asker, "identity", "DELETE", f"/sessions/{session_id}")

    async def looks(self, cursor: str) -> Page[Look]:
        """Who looked at the file, newest first."""
        query: dict[str, str | int] = {"cursor": cursor} if cursor else {}
        path = "/practitioners/me/access-log"
        return await self._backend.read(self._asker, "identity", Page[Look], "GET", path, params=query)

    async def _bytes(self, service: ServiceName, path: str) -> bytes:
        return (await self._backend.ask(self._asker, service, "GET", path)).content
