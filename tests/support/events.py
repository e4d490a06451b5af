"""Security events in the logs of the stack's processes."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

from deploy.local.ports import SERVICES
from tests.support.names import own_id
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

Event = dict[str, Any]


@dataclass(frozen=True)
class SecurityLog:
    """The security events in the logs of all APIs."""

    stack: RunningStack
    gateway: httpx2.AsyncClient

    async def of(self, requests: Collection[str]) -> dict[str, list[Event]]:
        """The events of these requests, by request id; complete, since each API has logged a later request."""
        found = defaultdict[str, list[Event]](list)
        for event in await self._all():
            found[event.get("request_id", "")].append(event)
        return {request: found[request] for request in requests}

    async def about(self, subject: str) -> list[Event]:
        """The events that concern this subject, in order."""
        return [event for event in await self._all() if event.get("subject") == subject]

    async def from_address(self, address: str) -> list[Event]:
        """The events of requests from this address, in order."""
        return [event for event in await self._all() if event.get("address") == address]

    async def _all(self) -> list[Event]:
        for service in SERVICES:
            await self._logged_so_far(service)
        return sorted(self._events(), key=lambda event: str(event["timestamp"]))

    async def one(self, request: str) -> Event:
        """The only event of a request."""
        events = (await self.of([request]))[request]
        assert len(events) == 1, events
        return events[0]

    async def _logged_so_far(self, service: str) -> None:
        last = own_id()
        path = "/help" if service == "portal" else f"/api/{service}/openapi.json"
        assert (await self.gateway.get(path, headers={"X-Request-Id": last})).status_code == 200

        async def written() -> bool:
            return last in self.stack.log(f"{service}-api").read_text(errors="replace")

        await eventually(written, 10, f"{service}-api logs a request")

    def _events(self) -> Iterator[Event]:
        for path in self.stack.log("any").parent.glob("*-api.log*"):
            for line in path.read_text(errors="replace").splitlines():
                if '"module":"security"' in line:
                    yield json.loads(line)
