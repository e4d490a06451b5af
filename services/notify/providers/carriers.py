"""The carriers in order of preference, each with its own circuit breaker."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from kit.core.errors import Unavailable
from kit.observability import log
from kit.observability.metrics import initialise
from services.notify import metrics
from services.notify.domain import NEEDS_ATTENTION, NotSent, Outcome, Refused, Report, Sms, Unknown, is_faulty
from services.notify.providers.breaker import STATES, Breaker
from services.notify.providers.sdk_client import CarrierClient

PROBE_TIMEOUT_SECONDS = 1.0  # a carrier that answers a query more slowly gets no code yet

logger = log.get(__name__)


class Carrier:
    """A carrier and its circuit breaker."""

    def __init__(self, client: CarrierClient, breaker: Breaker) -> None:
        self.name = client.name
        self._client = client
        self._breaker = breaker
        initialise(metrics.sms_carrier_errors, [self.name], sorted(NEEDS_ATTENTION))
        initialise(metrics.sms_attempts, [self.name], ["accepted", "unknown", "notsent"])
        metrics.sms_carrier_state.labels(self.name).set_function(lambda: STATES.index(breaker.state))

    def allows(self) -> bool:
        """Whether it may be tried now."""
        return self._breaker.allows()

    async def send(self, sms: Sms) -> Outcome:
        """Send one message; while the breaker is half-open, only after the carrier has answered a query."""
        call = self._breaker.begin()
        outcome: Outcome = Unknown("cancelled")
        try:
            ready = not call.probe or await self._answers_query(sms)
            outcome = await self._client.send(sms) if ready else NotSent()
        finally:
            self._breaker.end(call, succeeded=not is_faulty(outcome))
        self._count(outcome)
        return outcome

    async def reports(self, phone: str, since: datetime) -> list[Report]:
        """Return the carrier's receipts for a phone. Raises `Unavailable`."""
        return await self._client.reports(phone, since)

    async def _answers_query(self, sms: Sms) -> bool:
        """Query receipts first: a probe that hangs must not cost a person their code."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await self._client.reports(sms.phone, sms.at)
        except (Unavailable, TimeoutError):
            return False
        return True

    def _count(self, outcome: Outcome) -> None:
        label = outcome.reason if isinstance(outcome, Refused) else type(outcome).__name__.lower()
        metrics.sms_attempts.labels(self.name, label).inc()
        code = outcome.code if isinstance(outcome, Refused | Unknown) else ""
        if isinstance(outcome, Refused) and outcome.reason in NEEDS_ATTENTION:
            metrics.sms_carrier_errors.labels(self.name, outcome.reason).inc()
            logger.error("carrier needs attention", provider=self.name, reason=outcome.reason, answer=code)
        elif is_faulty(outcome):
            logger.warning("carrier failing", provider=self.name, outcome=label, answer=code)


class Carriers:
    """The carriers in use."""

    def __init__(self, carriers: Sequence[Carrier]) -> None:
        self._carriers = list(carriers)

    def choose(self, tried: set[str]) -> Carrier | None:
        """The most preferred one that may be tried and is not in `tried` (names)."""
        return next((each for each in self._carriers if each.name not in tried and each.allows()), None)

    def all_tried(self, tried: set[str]) -> bool:
        """Whether `tried` (names) contains every carrier."""
        return tried >= {each.name for each in self._carriers}

    def named(self, name: str | None) -> Carrier | None:
        """The carrier with this name; None if it is no longer in use."""
        return next((each for each in self._carriers if each.name == name), None)
