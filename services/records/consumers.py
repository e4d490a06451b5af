"""The consumer groups of records and their handlers."""

from dataclasses import dataclass

from contracts.attachments import AttachmentChanged
from contracts.identity import PractitionerChanged, PractitionerErased
from kit.core.events import Event
from kit.messaging.groups import Group, on, on_raw
from kit.privacy.erasure import Erasure
from services.records.service import RecordService
from services.records.store import Records


@dataclass(frozen=True)
class Handlers:
    """One method for each event."""

    service: RecordService
    records: Records
    erasure: Erasure

    async def follow_scan(self, event: AttachmentChanged) -> None:
        """Store the state of a record's scan."""
        await self.service.follow(event)

    async def note_birth(self, event: PractitionerChanged) -> None:
        """Store the year of a person's birth from identity's event."""
        await self.records.note_practitioner(event.practitioner_id, event.version, event.birth_year)

    async def erase(self, event: Event) -> None:
        """Remove everything stored of an erased person."""
        await self.erasure.handle(event)


GROUPS = (
    Group("records.attachments", on(AttachmentChanged, Handlers.follow_scan)),
    Group("records.practitioners", on(PractitionerChanged, Handlers.note_birth)),
    Group("records.erasures", on_raw(PractitionerErased, Handlers.erase), for_erased=True),
)
