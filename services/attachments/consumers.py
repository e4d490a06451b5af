"""What attachments' worker reads, and who handles it."""

from dataclasses import dataclass

from contracts.attachments import AttachmentChanged
from contracts.identity import PractitionerErased
from contracts.records import RecordChanged
from kit.core.events import Event
from kit.messaging.groups import Group, on, on_raw
from kit.privacy.erasure import Erasure
from services.attachments.checks import Checks
from services.attachments.domain import KnownRecord
from services.attachments.service import AttachmentService


@dataclass(frozen=True)
class Handlers:
    """One method for each event."""

    service: AttachmentService
    checks: Checks
    erasure: Erasure

    async def note_record(self, event: Event) -> None:
        """What records says of its own; a part of it is enough."""
        await self.service.note_record(KnownRecord.model_validate_json(event.data))

    async def check(self, event: AttachmentChanged) -> None:
        """What this service said itself: a scan that came is checked, the files of one that went are removed."""
        if event.state == "checking":
            await self.checks.check(event.attachment_id)
        elif event.state == "deleted":
            await self.checks.remove_files(event.attachment_id)

    async def erase(self, event: Event) -> None:
        """Somebody is to be erased."""
        await self.erasure.handle(event)


GROUPS = (
    Group("attachments.records", on_raw(RecordChanged, Handlers.note_record)),
    # a group of its own: checks do not wait behind the backlog of records.changes
    Group("attachments.check", on(AttachmentChanged, Handlers.check)),
    Group("attachments.erasures", on_raw(PractitionerErased, Handlers.erase), for_erased=True),
)
