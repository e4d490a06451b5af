"""What signature's worker reads, and who handles it."""

from dataclasses import dataclass

from contracts.identity import PractitionerChanged, PractitionerErased
from contracts.signature import SignatureChanged
from kit.core.events import Event
from kit.messaging.groups import Group, on, on_raw
from kit.privacy.erasure import Erasure
from services.signature.checks import Checks
from services.signature.form.service import StaleSheets


@dataclass(frozen=True)
class Handlers:
    """One method for each event."""

    outdating: StaleSheets
    checks: Checks
    erasure: Erasure

    async def note_person(self, event: PractitionerChanged) -> None:
        """What identity says of people."""
        await self.outdating.note_person(event.practitioner_id, event.version, event.changed)

    async def check(self, event: SignatureChanged) -> None:
        """What this service said itself: a sheet that came is checked, one that was judged settles those before it."""
        if event.state == "checking":
            await self.checks.check(event.signature_id)
        elif event.state == "replaced":
            await self.checks.remove_files(event.signature_id)
        else:
            await self.checks.settle(event.practitioner_id)

    async def erase(self, event: Event) -> None:
        """Somebody is to be erased."""
        await self.erasure.handle(event)


GROUPS = (
    Group("signature.practitioners", on(PractitionerChanged, Handlers.note_person)),
    # a group of its own: checks do not wait behind the backlog of identity.changes
    Group("signature.check", on(SignatureChanged, Handlers.check)),
    Group("signature.erasures", on_raw(PractitionerErased, Handlers.erase), for_erased=True),
)
