"""Quotas: what one person may use in an hour and in a day, so that nobody exhausts a service that others need."""

import asyncio
from collections.abc import Mapping
from weakref import WeakValueDictionary

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency
from pydantic import BaseModel

from kit.core.errors import Unavailable
from kit.http.callers import CallerDep
from kit.observability import log
from kit.redis import RateLimits, Rule
from kit.security import security_events

HOUR = 3600
DAY = 24 * 3600
BURST_SECONDS = 10
LEASED, MAX_LEASES = 0.01, 10_000

_Key = tuple[str, str, int]

logger = log.get(__name__)


class QuotaSettings(BaseModel):
    """Derive: fields `<quota>_per_hour` and `<quota>_per_day`, and `<quota>_at_once` for those within ten seconds."""

    def rules(self, quota: str) -> list[Rule]:
        """The rules of one quota."""
        windows = {"at_once": BURST_SECONDS, "per_hour": HOUR, "per_day": DAY}
        amounts = {seconds: getattr(self, f"{quota}_{name}", None) for name, seconds in windows.items()}
        return [Rule(amount, seconds, seconds == BURST_SECONDS) for seconds, amount in amounts.items() if amount]


class Quotas:
    """Counts calls of each practitioner and member of staff. API clients have no quotas: they work for many people.

    A hundredth of each rule is leased from Redis at once and used up in this process, so most calls need no Redis; a
    caller may be refused earlier by one lease for each process. While Redis is unavailable everything is allowed.
    `sentences`: of the refusals, by quota.
    """

    def __init__(self, limits: RateLimits, settings: QuotaSettings, sentences: Mapping[str, str]) -> None:
        names = [name for name in sentences if settings.rules(name)]
        self._sentences = sentences
        self._limits, self._rules = limits, {name: settings.rules(name) for name in names}
        self._leases: dict[_Key, int] = {}
        self._locks: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()
        security_events.initialise(*(f"limit_{name}" for name in names), outcome="throttled")

    async def admit(self, quota: str, kind: str, subject: str) -> None:
        """Count one of `quota` for this caller. Raises 429."""
        if kind == "client":
            return
        for rule in self._rules[quota]:
            await self._take(quota, f"{kind}:{subject}", rule)
        while len(self._leases) > MAX_LEASES:
            del self._leases[next(iter(self._leases))]

    async def _take(self, quota: str, caller: str, rule: Rule) -> None:
        key = (quota, caller, rule.seconds)
        async with self._locks.setdefault(key, asyncio.Lock()):  # concurrent calls share one lease
            left = self._leases.get(key) or await self._lease(quota, caller, rule)
            self._leases[key] = left - 1

    async def _lease(self, quota: str, caller: str, rule: Rule) -> int:
        leased = max(1, int(rule.amount * LEASED))
        try:
            await self._limits.hit([rule], quota, caller, sentence=self._sentences[quota], cost=leased)
        except Unavailable:
            logger.warning("quota not enforced", quota=quota)
        return leased


async def count(request: Request, caller: CallerDep, quota: str) -> None:
    """Count a request against its caller's quota at this app (`app.state.quotas`). Raises 429."""
    quotas: Quotas = request.app.state.quotas
    await quotas.admit(quota, caller.kind, caller.subject)


def counted(quota: str) -> Dependency:
    """For the `dependencies` of a route: each call of it counts against the caller's quota."""

    async def depend(request: Request, caller: CallerDep) -> None:
        await count(request, caller, quota)

    dependency: Dependency = Depends(depend)
    return dependency
