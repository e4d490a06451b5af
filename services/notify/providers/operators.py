"""The operators in their order of preference, each behind a breaker of its own."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from kit.core.errors import Unavailable
from kit.observability import log
from kit.observability.metrics import initialise
from services.notify import metrics
from services.notify.domain import NEEDS_ATTENTION, NotSent, Outcome, Refused, Report, Sms, Unknown, is_faulty
from services.notify.providers import CarrierClient
from services.notify.providers.breaker import STATES, Breaker

PROBE_TIMEOUT_SECONDS = 1.0  # an operator that needs longer for a question is not trusted with a code yet

logger = log.get(__name__)


class Carrier:
    """An operator and how it is doing."""

    def __init__(self, provider: CarrierClient, breaker: Breaker) -> None:
        self.name, self._provider, self._breaker = provider.name, provider, breaker
        initialise(metrics.sms_carrier_errors, [self.name], sorted(NEEDS_ATTENTION))
        initialise(metrics.sms_attempts, [self.name], ["accepted", "unknown", "notsent"])
        metrics.sms_carrier_state.labels(self.name).set_function(lambda: STATES.index(breaker.state))

    def allows(self) -> bool:
        """Whether it may be tried now."""
        return self._breaker.allows()

    async def send(self, sms: Sms) -> Outcome:
        """Hand a message over. The first one after an illness goes only when the operator answers a question first."""
        call = self._breaker.begin()
        outcome: Outcome = Unknown("cancelled")
        try:
            asked = not call.probe or await self._answers(sms)
            outcome = await self._provider.send(sms) if asked else NotSent()
        finally:
            self._breaker.end(call, well=not is_faulty(outcome))
        self._tell(outcome)
        return outcome

    async def reports(self, phone: str, since: datetime) -> list[Report]:
        """The receipts the operator has for a phone. Raises `Unavailable`."""
        return await self._provider.reports(phone, since)

    async def _answers(self, sms: Sms) -> bool:
        """A probe that hangs must not cost a code: the state of some message is asked first."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await self._provider.reports(sms.phone, sms.at)
        except (Unavailable, TimeoutError):
            return False
        return True

    def _tell(self, outcome: Outcome) -> None:
        told = outcome.reason if isinstance(outcome, Refused) else type(outcome).__name__.lower()
        metrics.sms_attempts.labels(self.name, told).inc()
        code = outcome.code if isinstance(outcome, Refused | Unknown) else ""
        if isinstance(outcome, Refused) and outcome.reason in NEEDS_ATTENTION:
            metrics.sms_carrier_errors.labels(self.name, outcome.reason).inc()
            logger.error("carrier needs attention", provider=self.name, reason=outcome.reason, answer=code)
        elif is_faulty(outcome):
            logger.warning("carrier failing", provider=self.name, outcome=told, answer=code)


class Carriers:
    """Who carries the next message."""

    def __init__(self, operators: Sequence[Carrier]) -> None:
        self._operators = list(operators)

    def choose(self, tried: set[str]) -> Carrier | None:
        """The most preferred one that may be tried, but none of `tried`."""
        return next((each for each in self._operators if each.name not in tried and each.allows()), None)

    def all_of(self, tried: set[str]) -> bool:
        """Whether nobody is left that was not tried."""
        return tried >= {each.name for each in self._operators}

    def named(self, name: str | None) -> Carrier | None:
        """The operator of a message, unless it is in use no longer."""
        return next((each for each in self._operators if each.name == name), None)
