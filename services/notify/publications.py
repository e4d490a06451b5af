"""Which events each version of a document of notify becomes."""

from contracts.notify import MessageChanged
from kit.core.documents import RESTORED
from kit.core.events import NewEvent
from kit.messaging.publisher import Publication
from kit.mongo import Fields
from services.notify.store import MESSAGES


def message_changed(document: Fields) -> list[NewEvent]:
    """A message that reached a state (the action is called so then); what lies between is notify's own business."""
    if document["action"] not in (document["state"], RESTORED):
        return []
    return [MessageChanged.of(document, message_id=document["_id"], changed=["state"])]


PUBLICATIONS: dict[str, Publication] = {MESSAGES: message_changed}
