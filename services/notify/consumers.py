"""event → method of notify."""

from collections.abc import Mapping

from contracts.identity import CodeRequested
from kit.consumer import Handler
from kit.events import Event
from services.notify.service import NotifyService

GROUP = "notify.requests"
TOPICS = [CodeRequested.TOPIC]


def handlers(service: NotifyService) -> Mapping[str, Handler]:
    """Requests to send something."""

    async def code_requested(event: Event) -> None:
        await service.code_requested(CodeRequested.model_validate_json(event.data))

    return {CodeRequested.TYPE: code_requested}
