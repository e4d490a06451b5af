"""Objects that both processes need."""

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


def webhook_limits(settings: Settings) -> Limits:
    """Timeouts of webhooks; loopback addresses are allowed only locally, for a developer's receiver."""
    webhooks = settings.webhooks
    return Limits(webhooks.connect_seconds, webhooks.answer_seconds, loopback=settings.environment == "local")
