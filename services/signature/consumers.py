"""The consumer groups of signature and their handlers."""

from dataclasses import dataclass

from contracts.identity import PractitionerChanged, PractitionerErased
from contracts.signature import SignatureChanged
from kit.core.events import Event
from kit.messaging.groups import Group, on, on_raw
from kit.privacy.erasure import Erasure
from services.signature.checks import Checks
from services.signature.sheets.service import StaleSheets


@dataclass(frozen=True)
class Handlers:
    """One method for each event."""

    stale_sheets: StaleSheets
    checks: Checks
    erasure: Erasure

    async def note_person(self, event: PractitionerChanged) -> None:
        """Store a person's version, and outdate their sheets if name or number changed."""
        await self.stale_sheets.note_person(event.practitioner_id, event.version, event.changed)

    async def check(self, event: SignatureChanged) -> None:
        """Check an uploaded sheet, remove the files of a replaced one, replace older ones after a verdict."""
        if event.state == "checking":
            await self.checks.check(event.signature_id)
        elif event.state == "replaced":
            await self.checks.remove_files(event.signature_id)
        else:
            await self.checks.replace_older(event.practitioner_id)

    async def erase(self, event: Event) -> None:
        """Remove everything stored of an erased person."""
        await self.erasure.handle(event)


GROUPS = (
    Group("signature.practitioners", on(PractitionerChanged, Handlers.note_person)),
    # a separate group, so that checks do not wait for the backlog of identity.changes
    Group("signature.check", on(SignatureChanged, Handlers.check)),
    Group("signature.erasures", on_raw(PractitionerErased, Handlers.erase), for_erased=True),
)
