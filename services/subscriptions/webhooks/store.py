"""subscriptions' collections: `webhooks`, `replays`, `deliveries` (the log), and `progress`, one document a webhook."""

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
        """A page of a client's (none: of all), newest first, and where the next one begins."""
        query: dict[str, object] = {"state": state or {"$ne": "deleted"}}
        return await self._collection.newest(query | ({"client_id": client_id} if client_id else {}), after, limit)

    async def present(self) -> list[Webhook]:
        """All that are not deleted."""
        return await self._collection.find({"state": {"$ne": "deleted"}}, sort=[("_id", 1)], limit=MAX_WEBHOOKS)


class Replays:
    """Queries over replays."""

    def __init__(self, database: Database) -> None:
        forgotten = Index([("created_at", 1)], expireAfterSeconds=KEEP_LOG_SECONDS)
        waiting = Index([("webhook_id", 1), ("state", 1), ("created_at", 1)])
        self._collection = Collection(database, REPLAYS, Replay, [waiting, forgotten])
        self.prepare = self._collection.prepare
        self.get = self._collection.get
        self.insert = self._collection.insert
        self.replace = self._collection.replace

    async def requested(self, webhook_id: str, limit: int = 20) -> list[Replay]:
        """Those that are not begun, in the order of their requests."""
        query = {"webhook_id": webhook_id, "state": "requested"}
        return await self._collection.find(query, sort=[("created_at", 1), ("_id", 1)], limit=limit)


class Deliveries:
    """The log of attempts; it forgets after a week."""

    def __init__(self, database: Database) -> None:
        forgotten = Index([("created_at", 1)], expireAfterSeconds=KEEP_LOG_SECONDS)
        self._collection = Collection(database, DELIVERIES, Delivery, [Index([("webhook_id", 1), *NEWEST]), forgotten])
        self.prepare = self._collection.prepare
        self.insert_all = self._collection.insert_all

    async def page(
        self, webhook_id: str, outcome: Outcome | None, after: Cursor | None, limit: int
    ) -> tuple[list[Delivery], Cursor | None]:
        """A page of a webhook's attempts, newest first, and where the next one begins."""
        query = {"webhook_id": webhook_id} | ({"outcome": outcome} if outcome else {})
        return await self._collection.newest(query, after, limit)


class Progresses:
    """How far each webhook is. Whoever works on one saves under a number that only grows."""

    def __init__(self, database: Database) -> None:
        self._projection = Projection(database, PROGRESS)

    async def get(self, webhook_id: str) -> tuple[int, Progress | None]:
        """The number it was saved under last, and what was saved; (0, None) at first."""
        found = await self._projection.get(webhook_id)
        return (0, None) if found is None else (_number(found), Progress.model_validate(found))

    async def put(self, webhook_id: str, number: int, progress: Progress) -> None:
        """Save it. What somebody else saved under a greater number stays: it is as true."""
        await self._projection.put(webhook_id, number, progress.model_dump())


class Clients:
    """API clients known from identity's events. A client without an event is trusted: it had a valid token."""

    def __init__(self, database: Database) -> None:
        self._projection = Projection(database, CLIENTS)

    async def note(self, told: ClientChanged) -> None:
        """Keep what concerns webhooks; what is older than what is known changes nothing."""
        fields = {"ended": not told.enabled or SCOPE not in told.scopes}
        await self._projection.put(told.client_id, told.version, fields)

    async def ended(self) -> set[str]:
        """The clients that may not follow any more: disabled, or without the scope."""
        return await self._projection.ids({"ended": True})

    async def has_ended(self, client_id: str) -> bool:
        """Whether this one may not."""
        known = await self._projection.get(client_id)
        return bool(known and known["ended"])


def _number(found: Mapping[str, object]) -> int:
    return int(str(found["version"]))
