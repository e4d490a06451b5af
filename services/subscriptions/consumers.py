"""The consumer group of subscriptions and its handler."""

from contracts.identity import ClientChanged
from kit.messaging.groups import Group, on
from services.subscriptions.webhooks.store import Clients

# API clients are not people, so erasures do not apply to their events
GROUPS = (Group("subscriptions.clients", on(ClientChanged, Clients.note), for_erased=True),)
