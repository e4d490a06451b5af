"""Calls of staff to identity: log in, find and register people, certificates, changes of phone."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from kit.core.errors import NotFound
from services.portal.client.backend import Backend, CallerContext, RequestOptions
from services.portal.client.models import Answer, CodeSent, Page, Remark, Tokens

CertificateAction = Literal["issue", "rebind", "revoke"]
DECISIONS = {"confirm": "rebinding_confirmed", "refuse": "rebinding_refused"}
"""What a second clerk may decide, and the note shown afterwards."""
MAX_REBINDINGS = 100
METHODS: Mapping[CertificateAction, str] = {"issue": "POST", "rebind": "PUT", "revoke": "DELETE"}


class Found(Answer):
    """The id of a person who was found or registered."""

    practitioner_id: str


class Candidate(Answer):
    """A registered person who may be the person at the window; the document number is masked."""

    practitioner_id: str
    name: str
    birth_date: date
    document_type: str
    document_hint: str
    registered_at: datetime


class Check(Answer):
    """The result of checking a registration: the document's owner, if known, warnings to confirm, similar people."""

    known: str | None
    warnings: list[Remark]
    candidates: list[Candidate]


class Rebinding(Answer):
    """A change of phone that waits for a second clerk; `own`: it was requested by the caller."""

    rebinding_id: str
    practitioner_id: str
    certificate_no: str
    former_phone_hint: str
    phone_hint: str
    requested_by: str
    own: bool
    requested_at: datetime
    expires_at: datetime
    reason: str
    cause: str
    card_read_at: datetime | None
    looked_up_at: datetime | None


class StaffCalls:
    """Calls to identity. Each may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, caller: CallerContext) -> None:
        self._backend = backend
        self._caller = caller

    async def log_in(self, username: str, password: str, totp: str) -> Tokens:
        """Open a session with both factors."""
        body = {"username": username, "password": password, "totp": totp}
        return await self._backend.read(self._caller, "identity", Tokens, "POST", "/staff/sessions", json=body)

    async def change_password(self, body: Mapping[str, str]) -> Tokens:
        """Change the password, which needs both factors; returns new tokens of the session."""
        return await self._backend.read(self._caller, "identity", Tokens, "POST", "/staff/password", json=body)

    async def find(self, document: Mapping[str, str]) -> str:
        """The id of the person with this identity document. Raises `Refused` 404."""
        path = "/practitioners/lookup"
        return (await self._backend.read(self._caller, "identity", Found, "POST", path, json=document)).practitioner_id

    async def check(self, body: Mapping[str, object]) -> Check:
        """Check a registration without saving. Raises the same errors as `register`."""
        return await self._backend.read(self._caller, "identity", Check, "POST", "/practitioners/checks", json=body)

    async def register(self, body: Mapping[str, object]) -> tuple[str, bool]:
        """Register a person, or update the owner of a known document; returns their id, and whether they are new."""
        response = await self._backend.request(self._caller, "identity", "POST", "/practitioners", json=body)
        return Found.model_validate_json(response.content).practitioner_id, response.status_code == 201

    async def send_phone_code(self, person: str, body: Mapping[str, str]) -> CodeSent:
        """Send a code to the new phone. Raises `Refused` 409 `phone_in_use`."""
        path = f"/practitioners/{person}/certificate/phone-codes"
        return await self._backend.read(self._caller, "identity", CodeSent, "POST", path, json=body)

    async def certify(self, action: CertificateAction, person: str, body: Mapping[str, str]) -> bool:
        """Issue, rebind or revoke a certificate (revoke sends no body). True if a second clerk has to confirm."""
        path = f"/practitioners/{person}/certificate"
        options: RequestOptions = {} if action == "revoke" else {"json": body}
        response = await self._backend.request(self._caller, "identity", METHODS[action], path, **options)
        return response.status_code == 202

    async def rebindings(self) -> list[Rebinding]:
        """Changes of phone that wait for a second clerk, oldest first."""
        found = await self._backend.read(
            self._caller, "identity", Page[Rebinding], "GET", "/rebindings", params={"limit": MAX_REBINDINGS}
        )
        return sorted(found.items, key=lambda one: one.requested_at)

    async def rebinding(self, person: str, rebinding_id: str) -> Rebinding:
        """One change of phone of this person. Raises `Refused` 404, `NotFound`."""
        path = f"/rebindings/{rebinding_id}"
        found = await self._backend.read(self._caller, "identity", Rebinding, "GET", path)
        if found.practitioner_id != person:
            raise NotFound
        return found

    async def decide(self, rebinding_id: str, decision: str) -> None:
        """Confirm or refuse a change of phone (`DECISIONS`)."""
        await self._backend.request(self._caller, "identity", "POST", f"/rebindings/{rebinding_id}/{decision}")
