"""document → events of notify."""

from contracts.notify import MessageChanged
from kit.events import NewEvent
from kit.mongo import Fields
from kit.publisher import Publication
from services.notify.store import MESSAGES


def message_changed(document: Fields) -> list[NewEvent]:
    """A message that was queued, or reached a state; attempts in between are notify's own business."""
    if document["action"] in ("attempted", "not_reached"):
        return []
    return [MessageChanged.of(document, message_id=document["_id"], changed=["state"])]


PUBLICATIONS: dict[str, Publication] = {MESSAGES: message_changed}
