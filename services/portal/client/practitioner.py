"""Calls to the services about one practitioner."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from services.portal.client.backend import Backend, CallerContext, Refused
from services.portal.client.models import (
    AccessEntry,
    Attachment,
    Certificate,
    Correction,
    Dispute,
    Page,
    Practitioner,
    Record,
    Session,
    Signature,
    SignatureSheet,
)
from services.portal.settings import ServiceName

OWN_RECORDS = "/practitioners/me/records"
ACCESS_LOG = "/practitioners/me/access-log"
PAGE_SIZE = 200
RECORDS = TypeAdapter(list[Record])
ACCESSES = TypeAdapter(list[AccessEntry])
DISPUTES = TypeAdapter(list[Dispute])


class PractitionerClient:
    """What a practitioner may read and write (`person` is `me`), or what staff may read (`person` is an id).

    Each call may raise `Refused` or `Unavailable`.
    """

    def __init__(self, backend: Backend, caller: CallerContext, person: str = "me") -> None:
        self._backend = backend
        self._caller = caller
        self._path = f"/practitioners/{person}"

    async def basic(self) -> Practitioner:
        """Basic information."""
        return await self._backend.read(self._caller, "identity", Practitioner, "GET", self._path)

    async def certificate(self) -> Certificate | None:
        """The digital certificate; None if none was ever issued."""
        found = await self._get_json_or_none("identity", f"{self._path}/certificate")
        return Certificate.model_validate(found) if found else None

    async def portrait(self) -> bytes:
        """The portrait as JPEG."""
        return await self._bytes("identity", f"{self._path}/portrait")

    async def records(self) -> list[Record]:
        """All records, newest first."""
        return RECORDS.validate_python(await self._all("records", f"{self._path}/records"))

    async def record(self, record_id: str) -> Record:
        """One record."""
        return await self._backend.read(self._caller, "records", Record, "GET", f"/records/{record_id}")

    async def add(self, kind: str, data: Mapping[str, object], key: str) -> Record:
        """Add a record; idempotent by `key`."""
        body = {"kind": kind, "data": data}
        headers = {"Idempotency-Key": key}
        return await self._backend.read(
            self._caller, "records", Record, "POST", OWN_RECORDS, json=body, headers=headers
        )

    async def check(self, kind: str, data: Mapping[str, object]) -> None:
        """Validate the data of a record without saving. Raises `Refused` 422."""
        path = f"{OWN_RECORDS}/check"
        await self._backend.request(self._caller, "records", "POST", path, json={"kind": kind, "data": data})

    async def change(self, record_id: str, version: int, data: Mapping[str, object]) -> Record:
        """Replace a record's data. Raises `Refused` 412 with the `current` record if `version` is outdated."""
        match = {"If-Match": f'"{version}"'}
        path = f"/records/{record_id}"
        return await self._backend.read(
            self._caller, "records", Record, "PUT", path, json={"data": data}, headers=match
        )

    async def delete(self, record_id: str, version: int) -> None:
        """Delete a record. Raises `Refused` 412 with the `current` record if `version` is outdated."""
        match = {"If-Match": f'"{version}"'}
        await self._backend.request(self._caller, "records", "DELETE", f"/records/{record_id}", headers=match)

    async def disputes(self) -> list[Dispute]:
        """All disputes, newest first."""
        return DISPUTES.validate_python(await self._all("records", f"{self._path}/disputes"))

    async def dispute(self, record_id: str, text: str, key: str) -> None:
        """Dispute a record that a source keeps; idempotent by `key`."""
        path, headers = f"/records/{record_id}/disputes", {"Idempotency-Key": key}
        await self._backend.request(self._caller, "records", "POST", path, json={"text": text}, headers=headers)

    async def upload(self, record_id: str, title: str, content: bytes) -> None:
        """Upload the scan of a record; its verdict follows."""
        files = {"file": ("scan.jpg", content, "image/jpeg")}
        path = f"/records/{record_id}/attachment"
        await self._backend.request(self._caller, "attachments", "POST", path, files=files, data={"title": title})

    async def correct(self, content: bytes) -> Correction:
        """Make a scan of a photo, which is kept for an hour."""
        files = {"file": ("photo", content, "application/octet-stream")}
        return await self._backend.read(self._caller, "attachments", Correction, "POST", "/corrections", files=files)

    async def corrected_image(self, correction_id: str) -> bytes:
        """A scan that was made of a photo, as JPEG. Raises `Refused` 404 if it has expired."""
        return await self._bytes("attachments", f"/corrections/{correction_id}/image")

    async def attachment(self, record_id: str) -> Attachment:
        """A record's scan. Raises `Refused` 404 if it has none."""
        path = f"/records/{record_id}/attachment"
        return await self._backend.read(self._caller, "attachments", Attachment, "GET", path)

    async def delete_attachment(self, record_id: str) -> None:
        """Delete a record's scan, so that another one can be uploaded."""
        await self._backend.request(self._caller, "attachments", "DELETE", f"/records/{record_id}/attachment")

    async def scan_image(self, attachment_id: str, which: str) -> bytes:
        """An accepted scan as JPEG: `image` or `thumbnail`."""
        return await self._bytes("attachments", f"/attachments/{attachment_id}/{which}")

    async def signature(self) -> Signature:
        """The state of the signature."""
        return await self._backend.read(self._caller, "signature", Signature, "GET", f"{self._path}/signature")

    async def new_sheet(self) -> SignatureSheet:
        """Make a signature sheet, to be printed and signed."""
        return await self._backend.read(self._caller, "signature", SignatureSheet, "POST", "/practitioners/me/forms")

    async def sheet_pdf(self, form_id: str) -> bytes:
        """The signature sheet as PDF."""
        return await self._bytes("signature", f"/forms/{form_id}.pdf")

    async def upload_signature(self, content: bytes) -> None:
        """Upload the signed sheet; its verdict follows."""
        files = {"file": ("form.jpg", content, "image/jpeg")}
        await self._backend.request(self._caller, "signature", "POST", "/practitioners/me/signature", files=files)

    async def signature_image(self, which: str) -> bytes:
        """The accepted signature: `scan` (JPEG, the whole sheet) or `image` (PNG, the signature)."""
        return await self._bytes("signature", f"{self._path}/signature/{which}")

    async def sessions(self) -> list[Session]:
        """The person's sessions."""
        return (await self._backend.read(self._caller, "identity", Page[Session], "GET", "/sessions")).items

    async def end_session(self, session_id: str) -> None:
        """End a session; `current` is this one."""
        await self._backend.request(self._caller, "identity", "DELETE", f"/sessions/{session_id}")

    async def end_other_sessions(self) -> None:
        """End all other sessions, and remove all other known devices."""
        await self._backend.request(self._caller, "identity", "DELETE", "/sessions")

    async def access_log(self, cursor: str) -> Page[AccessEntry]:
        """A page of the access log, newest first."""
        query: dict[str, str | int] = {"cursor": cursor} if cursor else {}
        return await self._backend.read(self._caller, "identity", Page[AccessEntry], "GET", ACCESS_LOG, params=query)

    async def whole_access_log(self) -> list[AccessEntry]:
        """The whole access log, newest first."""
        return ACCESSES.validate_python(await self._all("identity", ACCESS_LOG))

    async def everything(self) -> dict[str, object]:
        """Everything that the services hold of the person, as they return it."""
        return {
            "basic": await self._get_json("identity", "/practitioners/me"),
            "certificate": await self._get_json_or_none("identity", "/practitioners/me/certificate"),
            "records": await self._all("records", OWN_RECORDS),
            "disputes": await self._all("records", "/practitioners/me/disputes"),
            "signature": await self._get_json("signature", "/practitioners/me/signature"),
            "sessions": await self._all("identity", "/sessions"),
            "access_log": await self._all("identity", ACCESS_LOG),
        }

    async def _get_json(self, service: ServiceName, path: str) -> object:
        return (await self._backend.request(self._caller, service, "GET", path)).json()

    async def _get_json_or_none(self, service: ServiceName, path: str) -> object | None:
        try:
            return await self._get_json(service, path)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

    async def _all(self, service: ServiceName, path: str) -> list[object]:
        """All items of a list, over all pages."""
        found: list[object] = []
        query: dict[str, str | int] = {"limit": PAGE_SIZE}
        while True:
            page = (await self._backend.request(self._caller, service, "GET", path, params=query)).json()
            found += page["items"]
            if not page.get("next_cursor"):
                return found
            query["cursor"] = page["next_cursor"]

    async def _bytes(self, service: ServiceName, path: str) -> bytes:
        return (await self._backend.request(self._caller, service, "GET", path)).content
