"""The consumer groups of attachments and their handlers."""

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
        """Store a record's owner, kind and state from records' event."""
        await self.service.note_record(KnownRecord.model_validate_json(event.data))

    async def check(self, event: AttachmentChanged) -> None:
        """Check an uploaded scan, or remove the files of a deleted one."""
        if event.state == "checking":
            await self.checks.check(event.attachment_id)
        elif event.state == "deleted":
            await self.checks.remove_files(event.attachment_id)

    async def erase(self, event: Event) -> None:
        """Remove everything stored of an erased person."""
        await self.erasure.handle(event)


GROUPS = (
    Group("attachments.records", on_raw(RecordChanged, Handlers.note_record)),
    # a separate group, so that checks do not wait for the backlog of records.changes
    Group("attachments.check", on(AttachmentChanged, Handlers.check)),
    Group("attachments.erasures", on_raw(PractitionerErased, Handlers.erase), for_erased=True),
)
