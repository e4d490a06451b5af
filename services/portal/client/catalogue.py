"""Kinds of record, code tables and rules for scans: the same for everybody, and cached."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from kit.core.clock import Clock
from services.portal.client.backend import Backend, CallerContext
from services.portal.client.models import Code, Kind, Page, ScanRules

T = TypeVar("T")
FRESH_SECONDS = 300


class Catalogue:
    """Reads them from the services, and again after `FRESH_SECONDS`."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._cached: dict[str, tuple[float, object]] = {}

    async def kinds(self) -> dict[str, Kind]:
        """The kinds of record by name, in the order of the menu."""

        async def fetch() -> dict[str, Kind]:
            page = await self._backend.read(CallerContext(), "records", Page[Kind], "GET", "/kinds")
            return {kind.name: kind for kind in page.items}

        return await self._fresh("kinds", fetch)

    async def codes(self, table: str) -> list[Code]:
        """The terms of a code table, in the order of the drop-down list."""

        async def fetch() -> list[Code]:
            page = await self._backend.read(CallerContext(), "records", Page[Code], "GET", f"/code-tables/{table}")
            return page.items

        return await self._fresh(f"codes:{table}", fetch)

    async def rules(self) -> ScanRules:
        """The rules for scans."""

        async def fetch() -> ScanRules:
            return await self._backend.read(CallerContext(), "attachments", ScanRules, "GET", "/rules")

        return await self._fresh("rules", fetch)

    async def _fresh(self, name: str, fetch: Callable[[], Awaitable[T]]) -> T:
        now = self._clock.now().timestamp()
        at, value = self._cached.get(name, (0.0, None))
        if now - at > FRESH_SECONDS:
            value = await fetch()
            self._cached[name] = (now, value)
        return cast(T, value)
