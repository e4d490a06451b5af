"""event → method of identity."""

from collections.abc import Mapping

from contracts import attachments, identity, records, signature
from contracts.access import AccessLogged
from contracts.notify import MessageChanged
from kit.consumer import Handler
from kit.erasure import Erasure
from kit.events import Event
from services.identity.accesses import AccessLog
from services.identity.codes import Codes
from services.identity.domain import CODES

DELIVERIES, DELIVERY_TOPICS = "identity.delivery", [MessageChanged.TOPIC]
LOOKS = (identity.AccessLogged, records.AccessLogged, attachments.AccessLogged, signature.AccessLogged)
ERASURES, ERASURE_TOPICS = "identity.erasures", [identity.PractitionerErased.TOPIC]
ACCESSES, ACCESS_TOPICS = "identity.access", [look.TOPIC for look in LOOKS]


def deliveries(codes: Codes) -> Mapping[str, Handler]:
    """What notify says of a code."""

    async def message_changed(event: Event) -> None:
        message = MessageChanged.model_validate_json(event.data)
        if message.purpose in CODES.values():
            await codes.note_delivery(message)

    return {MessageChanged.TYPE: message_changed}


def accesses(log: AccessLog) -> Mapping[str, Handler]:
    """Looks at people's files, told by every service."""

    async def access_logged(event: Event) -> None:
        await log.note(AccessLogged.model_validate_json(event.data))

    return dict.fromkeys([look.TYPE for look in LOOKS], access_logged)


def erasures(erasure: Erasure) -> Mapping[str, Handler]:
    """What this service said itself: somebody is to be erased."""
    return {identity.PractitionerErased.TYPE: erasure.handle}
