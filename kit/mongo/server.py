"""The state of a replica set, for a user who may call `replSetGetStatus` and `serverStatus`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kit.mongo.database import Database, translate_errors

PRIMARY, SECONDARY = 1, 2


@dataclass(frozen=True)
class ServerState:
    """`lags`: seconds that each secondary is behind the primary; `down`: members that are neither."""

    lags: Mapping[str, float]
    down: int
    connections: int
    connections_available: int
    cache_used: float


async def server_state(database: Database) -> ServerState:
    """The state as the primary reports it. Raises `Unavailable`."""
    with translate_errors():
        status = await database.client.admin.command("replSetGetStatus")
        server = await database.client.admin.command({"serverStatus": 1, "repl": 0, "metrics": 0})
    members = status["members"]
    cache, connections = server["wiredTiger"]["cache"], server["connections"]
    return ServerState(
        lags=dict(_lags(members)),
        down=sum(each["state"] not in (PRIMARY, SECONDARY) for each in members),
        connections=connections["current"],
        connections_available=connections["available"],
        cache_used=cache["bytes currently in the cache"] / cache["maximum bytes configured"],
    )


def _lags(members: list[dict[str, Any]]) -> list[tuple[str, float]]:
    at: datetime | None = next((each["optimeDate"] for each in members if each["state"] == PRIMARY), None)
    behind = [each for each in members if at and each["state"] == SECONDARY]
    return [(each["name"], (at - each["optimeDate"]).total_seconds()) for each in behind if at]
