"""What can be done with forms: made for a person as identity knows them, printed, found stale."""

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
from services.signature.form.printing import Printing
from services.signature.people import KnownPeople
from services.signature.store import SignatureSheets

SCOPE = "signature:read"
ME = "/api/identity/practitioners/me"


class SheetService:
    """A person's forms. The document number is sealed; it comes from identity, no event tells it."""

    def __init__(
        self,
        forms: SignatureSheets,
        identity: ServiceClient,
        printing: Printing,
        sealer: Cipher,
        looks: AccessAudit,
        clock: Clock,
        lifetime_days: int,
    ) -> None:
        self._forms, self._identity, self._printing, self._sealer = forms, identity, printing, sealer
        self._looks, self._clock, self._lifetime = looks, clock, timedelta(days=lifetime_days)

    async def make(self, caller: Caller, token: str) -> SignatureSheet:
        """A form to be signed: the one there is while it holds for long enough, or else a new one.

        Raises `Hidden` for who is no practitioner, `NotFound`, 409 `name_not_printable`, `Unavailable`.
        """
        if caller.kind != "practitioner":
            raise Hidden
        person = await self._identity.ask(ME, token, Person)
        if person is None:
            raise NotFound
        await self._printable(person.name)
        known = await self._forms.newest(person.practitioner_id)
        if known and self._still_good(known, person):
            return known
        form = self._new(person, caller)
        await self._forms.insert(form)
        return form

    async def _printable(self, name: str) -> None:
        if missing := await self._printing.missing(name):
            told = f"姓名中的“{missing}”暂时没有可以打印的字体，请联系受理窗口"
            raise AppError(409, "name_not_printable", told)

    def _still_good(self, form: SignatureSheet, person: Person) -> bool:
        same = (form.name, self._number(form)) == (person.name, person.document_number)
        return same and form.expires_at - self._clock.now() > self._lifetime / 2

    def _new(self, person: Person, caller: Caller) -> SignatureSheet:
        now, form_id = self._clock.now(), new_id()
        number_sealed = self._sealer.seal(person.document_number, _context(form_id))
        return SignatureSheet.printed(form_id, person, number_sealed, now + self._lifetime, at=now, by=caller.label)

    def _number(self, form: SignatureSheet) -> str:
        return self._sealer.open(form.number_sealed, _context(form.id))

    async def pdf(self, caller: Caller, form_id: str) -> bytes:
        """The form as PDF. Raises `NotFound`, 410 when it would not be taken any more."""
        form = await self._forms.get(form_id)
        if form is None:
            raise NotFound
        await self._looks.owner(caller, form.practitioner_id, SCOPE, "form", form_id)
        if form.state == "stale" or form.expires_at <= self._clock.now():
            raise AppError(410, "form_outdated", "这份采集表已失效，请重新打印")
        return await self._printing.pdf(form.id, form.name, self._number(form), form.created_at, form.expires_at)


class StaleSheets:
    """Forms whose name or number is not the person's any more become stale."""

    def __init__(self, forms: SignatureSheets, people: KnownPeople, clock: Clock) -> None:
        self._forms, self._people, self._clock = forms, people, clock

    async def note_person(self, practitioner_id: str, version: int, changed: list[str]) -> None:
        """What identity told; twice is once."""
        known = await self._people.note(practitioner_id, version, changed)
        for form in await self._forms.outdated(practitioner_id, known.identified):
            with suppress(Conflict):  # another worker did it: nothing else ever changes a form
                await self._forms.replace(form.outdated(at=self._clock.now(), by="service:identity"))


def _context(form_id: str) -> str:
    return f"document_number:{form_id}"
