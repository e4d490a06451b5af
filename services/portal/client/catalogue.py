"""What is the same for everybody and changes rarely: kinds of record, code tables, the rules for scans."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from kit.core.clock import Clock
from services.portal.client.answers import Code, Kind, Page, ScanRules
from services.portal.client.backend import Backend, CallerContext

T = TypeVar("T")
FRESH_SECONDS = 300


class Catalogue:
    """Asks the services for it, and again when it is old."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend, self._clock = backend, clock
        self._known: dict[str, tuple[float, object]] = {}

    async def kinds(self) -> dict[str, Kind]:
        """The kinds of record by name, in the order of the guide's menu."""

        async def ask() -> dict[str, Kind]:
            page = await self._backend.read(CallerContext(), "records", Page[Kind], "GET", "/kinds")
            return {kind.name: kind for kind in page.items}

        return await self._fresh("kinds", ask)

    async def codes(self, table: str) -> list[Code]:
        """The terms of a code table in the order of its drop-down."""

        async def ask() -> list[Code]:
            page = await self._backend.read(CallerContext(), "records", Page[Code], "GET", f"/code-tables/{table}")
            return page.items

        return await self._fresh(f"codes:{table}", ask)

    async def rules(self) -> ScanRules:
        """What a scan must be like."""

        async def ask() -> ScanRules:
            return await self._backend.read(CallerContext(), "attachments", ScanRules, "GET", "/rules")

        return await self._fresh("rules", ask)

    async def _fresh(self, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        now = self._clock.now().timestamp()
        at, value = self._known.get(name, (0.0, None))
        if now - at > FRESH_SECONDS:
            value = await ask()
            self._known[name] = (now, value)
        return cast(T, value)
