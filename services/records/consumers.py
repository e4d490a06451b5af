"""event → method of records."""

from collections.abc import Mapping

from contracts.attachments import AttachmentChanged
from contracts.identity import PractitionerErased
from kit.consumer import Handler
from kit.erasure import Erasure
from kit.events import Event
from services.records.service import RecordService

ATTACHMENTS, ATTACHMENT_TOPICS = "records.attachments", [AttachmentChanged.TOPIC]
ERASURES, ERASURE_TOPICS = "records.erasures", [PractitionerErased.TOPIC]


def attachments(service: RecordService) -> Mapping[str, Handler]:
    """What became of the scan behind a record."""

    async def attachment_changed(event: Event) -> None:
        await service.follow(AttachmentChanged.model_validate_json(event.data))

    return {AttachmentChanged.TYPE: attachment_changed}


def erasures(erasure: Erasure) -> Mapping[str, Handler]:
    """Somebody is to be erased."""
    return {PractitionerErased.TYPE: erasure.handle}
