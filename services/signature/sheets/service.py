"""The operations on signature sheets: make, print, outdate."""

from contextlib import suppress
from datetime import timedelta

from kit.core.clock import Clock
from kit.core.errors import AppError, Hidden, NotFound
from kit.core.ids import new_id
from kit.http.service_client import ServiceClient
from kit.mongo import Conflict
from kit.privacy.access_audit import AccessAudit
from kit.security.encryption import Cipher
from kit.security.tokens import Caller
from services.signature.domain import Person, SignatureSheet
from services.signature.people import KnownPeople
from services.signature.sheets.printing import Printing
from services.signature.store import SignatureSheets

SCOPE = "signature:read"
ME = "/api/identity/practitioners/me"


class SheetService:
    """A person's signature sheets; the document number is fetched from identity and stored encrypted."""

    def __init__(
        self,
        sheets: SignatureSheets,
        identity: ServiceClient,
        printing: Printing,
        cipher: Cipher,
        audit: AccessAudit,
        clock: Clock,
        lifetime_days: int,
    ) -> None:
        self._sheets = sheets
        self._identity = identity
        self._printing = printing
        self._cipher = cipher
        self._audit = audit
        self._clock = clock
        self._lifetime = timedelta(days=lifetime_days)

    async def make(self, caller: Caller, token: str) -> SignatureSheet:
        """A sheet to be signed: the existing one if it is valid for half its lifetime or more, else a new one.

        Raises `Hidden` for callers who are not practitioners, `NotFound`, 409 `name_not_printable`, `Unavailable`.
        """
        if caller.kind != "practitioner":
            raise Hidden
        person = await self._identity.ask(ME, token, Person)
        if person is None:
            raise NotFound
        await self._check_printable(person.name)
        newest = await self._sheets.newest(person.practitioner_id)
        if newest and self._is_reusable(newest, person):
            return newest
        sheet = self._new(person, caller)
        await self._sheets.insert(sheet)
        return sheet

    async def _check_printable(self, name: str) -> None:
        if missing := await self._printing.missing(name):
            message = f"姓名中的“{missing}”暂时没有可以打印的字体，请联系受理窗口"
            raise AppError(409, "name_not_printable", message)

    def _is_reusable(self, sheet: SignatureSheet, person: Person) -> bool:
        same = (sheet.name, self._number(sheet)) == (person.name, person.document_number)
        return same and sheet.expires_at - self._clock.now() > self._lifetime / 2

    def _new(self, person: Person, caller: Caller) -> SignatureSheet:
        now = self._clock.now()
        form_id = new_id()
        number_sealed = self._cipher.encrypt(person.document_number, _context(form_id))
        return SignatureSheet.printed(form_id, person, number_sealed, now + self._lifetime, at=now, by=caller.label)

    def _number(self, sheet: SignatureSheet) -> str:
        return self._cipher.decrypt(sheet.number_sealed, _context(sheet.id))

    async def pdf(self, caller: Caller, form_id: str) -> bytes:
        """The sheet as PDF. Raises `NotFound`, 410 if it is stale or has expired."""
        sheet = await self._sheets.get(form_id)
        if sheet is None:
            raise NotFound
        await self._audit.authorize_read(caller, sheet.practitioner_id, SCOPE, "form", form_id)
        if sheet.state == "stale" or sheet.expires_at <= self._clock.now():
            raise AppError(410, "form_outdated", "这份采集表已失效，请重新打印")
        return await self._printing.pdf(sheet.id, sheet.name, self._number(sheet), sheet.created_at, sheet.expires_at)


class StaleSheets:
    """Outdates sheets when the person's name or document number changes."""

    def __init__(self, sheets: SignatureSheets, people: KnownPeople, clock: Clock) -> None:
        self._sheets = sheets
        self._people = people
        self._clock = clock

    async def note_person(self, practitioner_id: str, version: int, changed: list[str]) -> None:
        """Handle a version of a person, with the names of its changed fields; idempotent."""
        known = await self._people.note(practitioner_id, version, changed)
        for sheet in await self._sheets.outdated(practitioner_id, known.identified):
            with suppress(Conflict):  # another worker outdated it: a sheet has no other transition
                await self._sheets.replace(sheet.outdated(at=self._clock.now(), by="service:identity"))


def _context(form_id: str) -> str:
    return f"document_number:{form_id}"
