"""What subscriptions' worker reads, and who handles it."""

from contracts.identity import ClientChanged
from kit.messaging.groups import Group, on
from services.subscriptions.webhooks.store import Clients

# clients are no people: nobody's erasure concerns them
GROUPS = (Group("subscriptions.clients", on(ClientChanged, Clients.note), for_erased=True),)
