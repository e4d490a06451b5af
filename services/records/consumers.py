"""event → method of records."""

from collections.abc import Mapping

from contracts.attachments import AttachmentChanged
from kit.consumer import Handler
from kit.events import Event
from services.records.service import RecordService

ATTACHMENTS, ATTACHMENT_TOPICS = "records.attachments", [AttachmentChanged.TOPIC]


def attachments(service: RecordService) -> Mapping[str, Handler]:
    """What became of the scan behind a record."""

    async def attachment_changed(event: Event) -> None:
        await service.follow(AttachmentChanged.model_validate_json(event.data))

    return {AttachmentChanged.TYPE: attachment_changed}
