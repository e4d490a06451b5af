"""What staff ask of identity beside a person's file: log in, find, register, certificates."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from services.portal.answers import Answer, CodeSent, Remark, Tokens
from services.portal.backend import Asker, Backend

CertificateAction = Literal["issue", "rebind", "revoke"]
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


class StaffCalls:
    """Calls of the staff pages; every one may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, asker: Asker) -> None:
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

    async def certify(self, action: CertificateAction, person: str, body: Mapping[str, str]) -> None:
        """Issue, rebind or revoke a certificate; to revoke needs no body."""
        path = f"/practitioners/{person}/certificate"
        method = METHODS[action]
        if action == "revoke":
            await self._backend.ask(self._asker, "identity", method, path)
        else:
            await self._backend.ask(self._asker, "identity", method, path, json=body)
