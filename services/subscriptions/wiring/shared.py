"""What both processes of the service are built from."""

from contracts.records import RecordChanged
from kit.http.outbound import Limits
from kit.mongo import Database
from services.subscriptions.settings import Settings
from services.subscriptions.webhooks.service import Stores
from services.subscriptions.webhooks.store import Clients, Deliveries, Progresses, Replays, Webhooks

TOPIC = RecordChanged.TOPIC


def stores_of(database: Database) -> Stores:
    """The collections of webhooks."""
    return Stores(Webhooks(database), Replays(database), Deliveries(database), Progresses(database), Clients(database))


def call_limits(settings: Settings) -> Limits:
    """A developer's receiver is on the same machine; nowhere else may ours be called."""
    local, own = settings.environment == "local", settings.webhooks
    return Limits(own.connect_seconds, own.answer_seconds, loopback=local)
