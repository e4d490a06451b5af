"""event → method of records."""

from collections.abc import Mapping

from contracts.attachments import AttachmentChanged
from contracts.identity import PractitionerChanged, PractitionerErased
from kit.consumer import Handler
from kit.erasure import Erasure
from kit.events import Event
from services.records.service import RecordService
from services.records.store import Records

ATTACHMENTS, ATTACHMENT_TOPICS = "records.attachments", [AttachmentChanged.TOPIC]
PEOPLE, PEOPLE_TOPICS = "records.practitioners", [PractitionerChanged.TOPIC]
ERASURES, ERASURE_TOPICS = "records.erasures", [PractitionerErased.TOPIC]


def attachments(service: RecordService) -> Mapping[str, Handler]:
    """What became of the scan behind a record."""

    async def attachment_changed(event: Event) -> None:
        await service.follow(AttachmentChanged.model_validate_json(event.data))

    return {AttachmentChanged.TYPE: attachment_changed}


def people(records: Records) -> Mapping[str, Handler]:
    """When somebody was born, as far as identity tells it."""

    async def practitioner_changed(event: Event) -> None:
        told = PractitionerChanged.model_validate_json(event.data)
        await records.note_practitioner(told.practitioner_id, told.version, told.birth_year)

    return {PractitionerChanged.TYPE: practitioner_changed}


def erasures(erasure: Erasure) -> Mapping[str, Handler]:
    """Somebody is to be erased."""
    return {PractitionerErased.TYPE: erasure.handle}
