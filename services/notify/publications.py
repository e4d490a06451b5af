"""Publications of notify: the events for each version of a document."""

from contracts.notify import MessageChanged
from kit.core.documents import RESTORED
from kit.core.events import NewEvent, Publication
from kit.mongo import Fields
from kit.privacy.action_audit import OPERATIONS
from services.notify.store import MESSAGES


def message_changed(document: Fields) -> list[NewEvent]:
    """One event for each new state of a message; attempts and polls are not published."""
    # a version that reaches a state has the state's name as its action
    if document["action"] not in (document["state"], RESTORED):
        return []
    return [MessageChanged.of(document, message_id=document["_id"], changed=["state"])]


PUBLICATIONS: dict[str, Publication] = {MESSAGES: message_changed, **OPERATIONS}
