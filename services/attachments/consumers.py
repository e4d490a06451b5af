"""event → method of attachments."""

from collections.abc import Mapping

from contracts.attachments import AttachmentChanged
from contracts.identity import PractitionerErased
from contracts.records import RecordChanged
from kit.consumer import Handler
from kit.erasure import Erasure
from kit.events import Event
from services.attachments.checks import Checks
from services.attachments.domain import KnownRecord
from services.attachments.service import AttachmentService

RECORDS, RECORD_TOPICS = "attachments.records", [RecordChanged.TOPIC]
# a check doesn't wait behind everything that records ever told
CHECKS, CHECK_TOPICS = "attachments.check", [AttachmentChanged.TOPIC]
ERASURES, ERASURE_TOPICS = "attachments.erasures", [PractitionerErased.TOPIC]


def records(service: AttachmentService) -> Mapping[str, Handler]:
    """What records says of its own."""

    async def record_changed(event: Event) -> None:
        await service.note_record(KnownRecord.model_validate_json(event.data))

    return {RecordChanged.TYPE: record_changed}


def checks(made: Checks) -> Mapping[str, Handler]:
    """What this service said itself: a scan that came is checked, the files of one that went are removed."""

    async def attachment_changed(event: Event) -> None:
        told = AttachmentChanged.model_validate_json(event.data)
        if told.state == "checking":
            await made.check(told.attachment_id)
        elif told.state == "deleted":
            await made.remove_files(told.attachment_id)

    return {AttachmentChanged.TYPE: attachment_changed}


def erasures(erasure: Erasure) -> Mapping[str, Handler]:
    """Somebody is to be erased."""
    return {PractitionerErased.TYPE: erasure.handle}
