"""Samples the metrics of all processes, for the figures of the last minutes."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx2

from kit.core.clock import Clock
from kit.runtime import tls
from kit.runtime.periodic import every
from services.portal.operations.process_status import ProcessStatus, addresses_of, read_status

METRICS = frozenset({
    "publisher_leads", "publisher_lag_events", "publisher_lag_seconds", "consumer_lag_events", "consumer_events_total",
    "sms_messages_total", "sms_attempts_total", "sms_carrier_errors_total", "sms_carrier_state", "logins_total",
    "staff_logins_total", "login_limits_reached_total", "uploads_checked_total",
})  # fmt: skip
TIMEOUT = httpx2.Timeout(3, connect=1)
FRESH = timedelta(seconds=3)
STEP = timedelta(minutes=1)
"""The interval between the samples that are kept; each takes about 0.3 MB."""
PERIOD = timedelta(minutes=15)


@dataclass(frozen=True)
class MetricsSample:
    """The status of every process at one moment, by name, with the IP address if the name has several processes."""

    at: datetime
    processes: Mapping[str, ProcessStatus]


@dataclass(frozen=True)
class MetricsPeriod:
    """Two samples: the increase of counters between them, the gauges of the second."""

    before: MetricsSample
    after: MetricsSample

    def increase(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """The increase of a counter over all processes, by the values of `labels`. After a restart it counts from 0."""
        found = Counter[tuple[str, ...]]()
        for process, now in self.after.processes.items():
            earlier = self.before.processes.get(process, ProcessStatus(False)).values
            for (metric, given), value in now.values.items():
                if metric == name:
                    old = earlier.get((metric, given), 0)
                    found[_chosen(dict(given), labels)] += round(value - old if value >= old else value)
        return found

    def gauge(self, name: str, *labels: str) -> Mapping[tuple[str, ...], float]:
        """A gauge summed over all processes, by the values of `labels`."""
        found: dict[tuple[str, ...], float] = {}
        for now in self.after.processes.values():
            for (metric, given), value in now.values.items():
                if metric == name:
                    key = _chosen(dict(given), labels)
                    found[key] = found.get(key, 0) + value
        return found


def _chosen(given: Mapping[str, str], labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(given[label] for label in labels)


class Monitor:
    """Keeps the samples of the last `PERIOD`; `processes` are the addresses of internal ports by name."""

    def __init__(self, processes: Mapping[str, str], ca: Path | None, clock: Clock) -> None:
        self._processes = processes
        self._context = tls.client_context(ca)
        self._clock = clock
        self._samples: deque[MetricsSample] = deque()
        self._latest: MetricsSample | None = None
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Take samples until cancelled."""
        await every(STEP.total_seconds(), self.period, "sample process metrics")

    async def period(self) -> MetricsPeriod:
        """From the oldest sample to one that is at most `FRESH` old."""
        async with self._lock:
            now = self._clock.now()
            if self._latest is None or now - self._latest.at > FRESH:
                self._latest = MetricsSample(now, await self._statuses())
                self._keep(self._latest)
            return MetricsPeriod(self._samples[0], self._latest)

    def _keep(self, sample: MetricsSample) -> None:
        if not self._samples or sample.at - self._samples[-1].at >= STEP:
            self._samples.append(sample)
        while sample.at - self._samples[0].at > PERIOD:
            self._samples.popleft()

    async def _statuses(self) -> Mapping[str, ProcessStatus]:
        addresses = await self._addresses()
        async with httpx2.AsyncClient(timeout=TIMEOUT, verify=self._context) as http:
            statuses = await asyncio.gather(*(read_status(http, one, METRICS, of) for one, of in addresses.values()))
        return dict(zip(addresses, statuses, strict=True))

    async def _addresses(self) -> Mapping[str, tuple[str, str]]:
        """The current address of each process and the configured one, by name."""
        found = await asyncio.gather(*map(addresses_of, self._processes.values()))
        return {
            name if one == configured else f"{name} {httpx2.URL(one).host}": (one, configured)
            for (name, configured), addresses in zip(self._processes.items(), found, strict=True)
            for one in addresses
        }
