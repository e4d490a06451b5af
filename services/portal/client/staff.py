"""What staff ask of identity beside a person's file: log in, find, register, certificates."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from kit.core.errors import NotFound
from services.portal.client.answers import Answer, CodeSent, Page, Remark, Tokens
from services.portal.client.backend import Backend, CallerContext, RequestOptions

CertificateAction = Literal["issue", "rebind", "revoke"]
DECISIONS = {"confirm": "rebinding_confirmed", "refuse": "rebinding_refused"}
"""What a second clerk may do, and the note after it."""
MAX_REBINDINGS = 100
METHODS: Mapping[CertificateAction, str] = {"issue": "POST", "rebind": "PUT", "revoke": "DELETE"}


class Found(Answer):
    """A person found by their document, or registered."""

    practitioner_id: str


class Candidate(Answer):
    """Somebody on file who may be the person at the window; of their number only a hint."""

    practitioner_id: str
    name: str
    birth_date: date
    document_type: str
    document_hint: str
    registered_at: datetime


class Check(Answer):
    """What a registration would meet: whose document it is, what to confirm, who the person may be."""

    known: str | None
    warnings: list[Remark]
    candidates: list[Candidate]


class Rebinding(Answer):
    """Another phone that waits for a second clerk; `own`: who looks asked for it."""

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
    """Calls of the staff pages; every one may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, asker: CallerContext) -> None:
        self._backend, self._asker = backend, asker

    async def log_in(self, username: str, password: str, totp: str) -> Tokens:
        """A session for both factors."""
        body = {"username": username, "password": password, "totp": totp}
        return await self._backend.read(self._asker, "identity", Tokens, "POST", "/staff/sessions", json=body)

    async def change_password(self, body: Mapping[str, str]) -> Tokens:
        """The session's next tokens, once both factors and the new password were taken."""
        return await self._backend.read(self._asker, "identity", Tokens, "POST", "/staff/password", json=body)

    async def find(self, document: Mapping[str, str]) -> str:
        """The id of who has this document. Raises `Refused` 404."""
        path = "/practitioners/lookup"
        return (await self._backend.read(self._asker, "identity", Found, "POST", path, json=document)).practitioner_id

    async def check(self, body: Mapping[str, object]) -> Check:
        """What `register` would meet; nothing is changed. Raises `Refused` as it would."""
        return await self._backend.read(self._asker, "identity", Check, "POST", "/practitioners/checks", json=body)

    async def register(self, body: Mapping[str, object]) -> tuple[str, bool]:
        """The person's id, and whether they are new; a document that is known makes a new version of its person."""
        response = await self._backend.ask(self._asker, "identity", "POST", "/practitioners", json=body)
        return Found.model_validate_json(response.content).practitioner_id, response.status_code == 201

    async def send_phone_code(self, person: str, body: Mapping[str, str]) -> CodeSent:
        """Send a code to the phone that is to be bound. Raises `Refused` 409 `phone_in_use`."""
        path = f"/practitioners/{person}/certificate/phone-codes"
        return await self._backend.read(self._asker, "identity", CodeSent, "POST", path, json=body)

    async def certify(self, action: CertificateAction, person: str, body: Mapping[str, str]) -> bool:
        """Issue, rebind or revoke a certificate; to revoke needs no body. Whether it waits for a second clerk."""
        path = f"/practitioners/{person}/certificate"
        asked: RequestOptions = {} if action == "revoke" else {"json": body}
        answer = await self._backend.ask(self._asker, "identity", METHODS[action], path, **asked)
        return answer.status_code == 202

    async def rebindings(self) -> list[Rebinding]:
        """Phones that wait for a second clerk, the oldest request first."""
        found = await self._backend.read(
            self._asker, "identity", Page[Rebinding], "GET", "/rebindings", params={"limit": MAX_REBINDINGS}
        )
        return sorted(found.items, key=lambda one: one.requested_at)

    async def rebinding(self, person: str, rebinding_id: str) -> Rebinding:
        """One that waits at this person. Raises `Refused` 404."""
        path = f"/rebindings/{rebinding_id}"
        found = await self._backend.read(self._asker, "identity", Rebinding, "GET", path)
        if found.practitioner_id != person:
            raise NotFound
        return found

    async def decide(self, rebinding_id: str, decision: str) -> None:
        """Confirm or refuse it (`DECISIONS`)."""
        await self._backend.ask(self._asker, "identity", "POST", f"/rebindings/{rebinding_id}/{decision}")
