"""event → method of identity."""

from collections.abc import Mapping

from contracts.notify import MessageChanged
from kit.consumer import Handler
from kit.events import Event
from services.identity.login import LoginService

GROUP = "identity.delivery"
TOPICS = [MessageChanged.TOPIC]


def handlers(login: LoginService) -> Mapping[str, Handler]:
    """What notify says of a code."""

    async def message_changed(event: Event) -> None:
        message = MessageChanged.model_validate_json(event.data)
        if message.purpose == "login_code":
            await login.note_delivery(message)

    return {MessageChanged.TYPE: message_changed}
