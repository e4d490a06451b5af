"""The watch over the whole system: every process looked at now and then, so that the last minutes can be told."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx2

from kit.core.clock import Clock
from kit.runtime.periodic import every
from services.portal.operations.scrape import ProcessStatus, addresses_of, read_status

NAMES = frozenset({
    "publisher_leads", "publisher_lag_events", "publisher_lag_seconds", "consumer_lag_events", "consumer_events_total",
    "sms_messages_total", "sms_attempts_total", "sms_carrier_errors_total", "sms_carrier_state", "logins_total",
    "staff_logins_total", "login_limits_reached_total", "uploads_checked_total",
})  # fmt: skip
TIMEOUT = httpx2.Timeout(3, connect=1)
FRESH = timedelta(seconds=3)
STEP = timedelta(minutes=1)
"""So far apart are the samples that are kept: each takes some 0.3 MB."""
PERIOD = timedelta(minutes=15)


@dataclass(frozen=True)
class MetricsSample:
    """Every process by name (and address, where a name may stand for several), at one moment."""

    at: datetime
    processes: Mapping[str, ProcessStatus]


@dataclass(frozen=True)
class MetricsPeriod:
    """Two moments: counters tell what happened between them, gauges how it is at the second."""

    before: MetricsSample
    after: MetricsSample

    def grown(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """By the values of `labels`: how much the counter grew in all processes; one that began anew counts whole."""
        found = Counter[tuple[str, ...]]()
        for process, now in self.after.processes.items():
            known = self.before.processes.get(process, ProcessStatus(False)).values
            for (metric, given), value in now.values.items():
                if metric == name:
                    old = known.get((metric, given), 0)
                    found[_chosen(dict(given), labels)] += round(value - old if value >= old else value)
        return found

    def level(self, name: str, *labels: str) -> Mapping[tuple[str, ...], float]:
        """By the values of `labels`: the gauge, summed over all processes."""
        found: dict[tuple[str, ...], float] = {}
        for now in self.after.processes.values():
            for (metric, given), value in now.values.items():
                if metric == name:
                    place = _chosen(dict(given), labels)
                    found[place] = found.get(place, 0) + value
        return found


def _chosen(given: Mapping[str, str], labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(given[label] for label in labels)


class Monitor:
    """Keeps the samples of a period; the addresses are those of the processes' internal ports."""

    def __init__(self, processes: Mapping[str, str], clock: Clock) -> None:
        self._processes, self._clock = processes, clock
        self._kept: deque[MetricsSample] = deque()
        self._latest: MetricsSample | None = None
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Look for ever."""
        await every(STEP.total_seconds(), self.period, "look at every process")

    async def period(self) -> MetricsPeriod:
        """From the oldest sample of the last minutes to now."""
        async with self._looking:
            now = self._clock.now()
            if self._latest is None or now - self._latest.at > FRESH:
                self._latest = MetricsSample(now, await self._look())
                self._keep(self._latest)
            return MetricsPeriod(self._kept[0], self._latest)

    def _keep(self, sample: MetricsSample) -> None:
        if not self._kept or sample.at - self._kept[-1].at >= STEP:
            self._kept.append(sample)
        while sample.at - self._kept[0].at > PERIOD:
            self._kept.popleft()

    async def _look(self) -> Mapping[str, ProcessStatus]:
        places = await self._places()
        async with httpx2.AsyncClient(timeout=TIMEOUT) as http:
            seen = await asyncio.gather(*(read_status(http, place, NAMES) for place in places.values()))
        return dict(zip(places, seen, strict=True))

    async def _places(self) -> Mapping[str, str]:
        """Where each process shows itself now, by its name."""
        found = await asyncio.gather(*map(addresses_of, self._processes.values()))
        return {
            name if place == address else f"{name} {httpx2.URL(place).host}": place
            for (name, address), places in zip(self._processes.items(), found, strict=True)
            for place in places
        }
