"""document → events of notify."""

from contracts.notify import MessageChanged
from kit.documents import RESTORED
from kit.events import NewEvent
from kit.mongo import Fields
from kit.publisher import Publication
from services.notify.store import MESSAGES


def message_changed(document: Fields) -> list[NewEvent]:
    """A message that reached a state (the action is called so then); what lies between is notify's own business."""
    if document["action"] not in (document["state"], RESTORED):
        return []
    return [MessageChanged.of(document, message_id=document["_id"], changed=["state"])]


PUBLICATIONS: dict[str, Publication] = {MESSAGES: message_changed}
