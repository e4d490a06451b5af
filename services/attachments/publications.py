"""Publications of attachments: the events for each version of a document."""

from contracts.attachments import AccessLogged, AttachmentChanged
from kit.core.events import NewEvent, Publication
from kit.mongo import Fields
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.action_audit import OPERATIONS
from services.attachments.store import COLLECTION


def attachment_changed(document: Fields) -> list[NewEvent]:
    """One event for each version of an attachment, with its complete state."""
    return [AttachmentChanged.of(document, attachment_id=document["_id"], seen=document.get("seen", False))]


def access_logged(document: Fields) -> list[NewEvent]:
    """One event for each access by somebody else."""
    return [AccessLogged.of(document, access_id=document["_id"])]


PUBLICATIONS: dict[str, Publication] = {COLLECTION: attachment_changed, ACCESS_LOG: access_logged, **OPERATIONS}
