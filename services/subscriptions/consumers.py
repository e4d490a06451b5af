"""event → method of subscriptions."""

from collections.abc import Mapping

from contracts.identity import ClientChanged
from kit.consumer import Handler
from kit.events import Event
from services.subscriptions.store import Clients

CLIENTS, CLIENT_TOPICS = "subscriptions.clients", [ClientChanged.TOPIC]


def clients(known: Clients) -> Mapping[str, Handler]:
    """What identity tells of API clients."""

    async def client_changed(event: Event) -> None:
        await known.note(ClientChanged.model_validate_json(event.data))

    return {ClientChanged.TYPE: client_changed}
