"""subscriptions' collections: `webhooks`, `replays`, `deliveries` (the log), `progress` of webhooks, `clients`."""

from collections.abc import Mapping

from contracts.identity import ClientChanged
from kit.mongo import NEWEST, Collection, Cursor, Database, Index, Projection
from services.subscriptions.domain import SCOPE
from services.subscriptions.webhooks.domain import Delivery, Outcome, Progress, Replay, State, Webhook

WEBHOOKS = "webhooks"
REPLAYS = "replays"
DELIVERIES = "deliveries"
PROGRESS = "progress"
CLIENTS = "clients"
KEEP_LOG_SECONDS = 7 * 24 * 3600
MAX_WEBHOOKS = 1_000


class Webhooks:
    """Queries over webhooks."""

    def __init__(self, database: Database) -> None:
        by_client = Index([("client_id", 1), *NEWEST])
        self._collection = Collection(database, WEBHOOKS, Webhook, [by_client, Index([*NEWEST])])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def page(
        self, client_id: str | None, state: State | None, after: Cursor | None, limit: int
    ) -> tuple[list[Webhook], Cursor | None]:
        """A page of a client's webhooks (None: of all), newest first, and the cursor of the next page."""
        query: dict[str, object] = {"state": state or {"$ne": "deleted"}}
        return await self._collection.newest(query | ({"client_id": client_id} if client_id else {}), after, limit)

    async def present(self) -> list[Webhook]:
        """All webhooks that are not deleted."""
        return await self._collection.find({"state": {"$ne": "deleted"}}, sort=[("_id", 1)], limit=MAX_WEBHOOKS)


class Replays:
    """Queries over replays."""

    def __init__(self, database: Database) -> None:
        expiry = Index([("created_at", 1)], expireAfterSeconds=KEEP_LOG_SECONDS)
        requested = Index([("webhook_id", 1), ("state", 1), ("created_at", 1)])
        self._collection = Collection(database, REPLAYS, Replay, [requested, expiry])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def requested(self, webhook_id: str, limit: int = 20) -> list[Replay]:
        """The webhook's replays that have not begun, in the order of their requests."""
        query = {"webhook_id": webhook_id, "state": "requested"}
        return await self._collection.find(query, sort=[("created_at", 1), ("_id", 1)], limit=limit)


class Deliveries:
    """The log of attempts; entries expire after a week."""

    def __init__(self, database: Database) -> None:
        expiry = Index([("created_at", 1)], expireAfterSeconds=KEEP_LOG_SECONDS)
        self._collection = Collection(database, DELIVERIES, Delivery, [Index([("webhook_id", 1), *NEWEST]), expiry])
        self.prepare = self._collection.prepare
        self.insert_all = self._collection.insert_all

    async def page(
        self, webhook_id: str, outcome: Outcome | None, after: Cursor | None, limit: int
    ) -> tuple[list[Delivery], Cursor | None]:
        """A page of a webhook's attempts, newest first, and the cursor of the next page."""
        query = {"webhook_id": webhook_id} | ({"outcome": outcome} if outcome else {})
        return await self._collection.newest(query, after, limit)


class Progresses:
    """The progress of each webhook, stored under a number that its worker increases with each write."""

    def __init__(self, database: Database) -> None:
        self._projection = Projection(database, PROGRESS)

    async def get(self, webhook_id: str) -> tuple[int, Progress | None]:
        """The number of the last write, and the progress; (0, None) before the first write."""
        found = await self._projection.get(webhook_id)
        return (0, None) if found is None else (_number(found), Progress.model_validate(found))

    async def put(self, webhook_id: str, number: int, progress: Progress) -> None:
        """Store it, unless another worker has stored one under a greater number."""
        await self._projection.put(webhook_id, number, progress.model_dump())


class Clients:
    """The projection of API clients; one that is not in it is allowed, because it had a valid token."""

    def __init__(self, database: Database) -> None:
        self._projection = Projection(database, CLIENTS)

    async def note(self, event: ClientChanged) -> None:
        """Store whether the client may have webhooks, unless a newer version is stored."""
        fields = {"ended": not event.enabled or SCOPE not in event.scopes}
        await self._projection.put(event.client_id, event.version, fields)

    async def ended(self) -> set[str]:
        """The ids of clients that are disabled or have lost the scope."""
        return await self._projection.ids({"ended": True})

    async def has_ended(self, client_id: str) -> bool:
        """Whether this client is disabled or has lost the scope."""
        known = await self._projection.get(client_id)
        return bool(known and known["ended"])


def _number(found: Mapping[str, object]) -> int:
    return int(str(found["version"]))
