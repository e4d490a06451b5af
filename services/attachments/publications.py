"""Which events each version of a document of attachments becomes."""

from contracts.attachments import AccessLogged, AttachmentChanged
from kit.core.events import NewEvent
from kit.messaging.publisher import Publication
from kit.mongo import Fields
from kit.privacy.access_audit import ACCESS_LOG
from services.attachments.store import COLLECTION


def attachment_changed(document: Fields) -> list[NewEvent]:
    """Every version of an attachment is one event with its whole current state."""
    return [AttachmentChanged.of(document, attachment_id=document["_id"], seen=document.get("seen", False))]


def access_logged(document: Fields) -> list[NewEvent]:
    """A look by somebody else."""
    return [AccessLogged.of(document, access_id=document["_id"])]


PUBLICATIONS: dict[str, Publication] = {COLLECTION: attachment_changed, ACCESS_LOG: access_logged}
