"""A practitioner's file at the services: every call that pages make, of themselves or of staff who may read it."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from services.portal.client.answers import (
    AccessEntry,
    Attachment,
    Certificate,
    Page,
    Practitioner,
    Record,
    Session,
    Signature,
    SignatureSheet,
)
from services.portal.client.backend import Backend, CallerContext, Refused
from services.portal.settings import ServiceName

OWN_RECORDS = "/practitioners/me/records"
ACCESS_LOG = "/practitioners/me/access-log"
PAGE = 200
RECORDS, LOOKS = TypeAdapter(list[Record]), TypeAdapter(list[AccessEntry])


class PractitionerClient:
    """What one person may read and write (`me`), or what staff may read of them (their id).

    Every call may raise `Refused` or `Unavailable`.
    """

    def __init__(self, backend: Backend, asker: CallerContext, person: str = "me") -> None:
        self._backend, self._asker, self._person = backend, asker, f"/practitioners/{person}"

    async def basic(self) -> Practitioner:
        """Basic information."""
        return await self._backend.read(self._asker, "identity", Practitioner, "GET", self._person)

    async def certificate(self) -> Certificate | None:
        """The digital certificate, if there ever was one."""
        told = await self._told_if_any("identity", f"{self._person}/certificate")
        return Certificate.model_validate(told) if told else None

    async def portrait(self) -> bytes:
        """The portrait as JPEG."""
        return await self._bytes("identity", f"{self._person}/portrait")

    async def records(self) -> list[Record]:
        """All records, newest first."""
        return RECORDS.validate_python(await self._all("records", f"{self._person}/records"))

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

    async def check(self, kind: str, data: Mapping[str, object]) -> None:
        """Save nothing. Raises `Refused` 422 when these data would not be taken."""
        path = f"{OWN_RECORDS}/check"
        await self._backend.ask(self._asker, "records", "POST", path, json={"kind": kind, "data": data})

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
        """Delete the record's scan, so that another one can be uploaded."""
        await self._backend.ask(self._asker, "attachments", "DELETE", f"/records/{record_id}/attachment")

    async def picture(self, attachment_id: str, which: str) -> bytes:
        """An accepted scan as JPEG: `image` or `thumbnail`."""
        return await self._bytes("attachments", f"/attachments/{attachment_id}/{which}")

    async def signature(self) -> Signature:
        """How far the signature is."""
        return await self._backend.read(self._asker, "signature", Signature, "GET", f"{self._person}/signature")

    async def new_form(self) -> SignatureSheet:
        """A form to be printed and signed."""
        return await self._backend.read(self._asker, "signature", SignatureSheet, "POST", "/practitioners/me/forms")

    async def form_pdf(self, form_id: str) -> bytes:
        """The form as PDF."""
        return await self._bytes("signature", f"/forms/{form_id}.pdf")

    async def upload_signature(self, content: bytes) -> None:
        """The signed form, scanned or photographed; its verdict follows."""
        files = {"file": ("form.jpg", content, "image/jpeg")}
        await self._backend.ask(self._asker, "signature", "POST", "/practitioners/me/signature", files=files)

    async def signature_picture(self, which: str) -> bytes:
        """Of the accepted signature: `scan` (JPEG, the whole page) or `image` (PNG, the signature alone)."""
        return await self._bytes("signature", f"{self._person}/signature/{which}")

    async def sessions(self) -> list[Session]:
        """Where the person is logged in."""
        return (await self._backend.read(self._asker, "identity", Page[Session], "GET", "/sessions")).items

    async def end_session(self, session_id: str) -> None:
        """Log out somewhere; `current`: here."""
        await self._backend.ask(self._asker, "identity", "DELETE", f"/sessions/{session_id}")

    async def end_other_sessions(self) -> None:
        """Log out everywhere but here, and forget all other devices."""
        await self._backend.ask(self._asker, "identity", "DELETE", "/sessions")

    async def looks(self, cursor: str) -> Page[AccessEntry]:
        """Who looked at the file, newest first."""
        query: dict[str, str | int] = {"cursor": cursor} if cursor else {}
        return await self._backend.read(self._asker, "identity", Page[AccessEntry], "GET", ACCESS_LOG, params=query)

    async def all_looks(self) -> list[AccessEntry]:
        """Everybody who looked at the file, newest first."""
        return LOOKS.validate_python(await self._all("identity", ACCESS_LOG))

    async def everything(self) -> dict[str, object]:
        """All that the services keep of the person, as they tell it."""
        return {
            "basic": await self._told("identity", "/practitioners/me"),
            "certificate": await self._told_if_any("identity", "/practitioners/me/certificate"),
            "records": await self._all("records", OWN_RECORDS),
            "signature": await self._told("signature", "/practitioners/me/signature"),
            "sessions": await self._all("identity", "/sessions"),
            "access_log": await self._all("identity", ACCESS_LOG),
        }

    async def _told(self, service: ServiceName, path: str) -> object:
        return (await self._backend.ask(self._asker, service, "GET", path)).json()

    async def _told_if_any(self, service: ServiceName, path: str) -> object | None:
        try:
            return await self._told(service, path)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

    async def _all(self, service: ServiceName, path: str) -> list[object]:
        """Every item of a list, over all of its pages."""
        found: list[object] = []
        query: dict[str, str | int] = {"limit": PAGE}
        while True:
            page = (await self._backend.ask(self._asker, service, "GET", path, params=query)).json()
            found += page["items"]
            if not page.get("next_cursor"):
                return found
            query["cursor"] = page["next_cursor"]

    async def _bytes(self, service: ServiceName, path: str) -> bytes:
        return (await self._backend.ask(self._asker, service, "GET", path)).content
