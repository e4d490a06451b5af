"""One call of a webhook: signed with its secrets, to an address of the public internet, and what came of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from kit.core.clock import Clock
from kit.http.outbound import Forbidden, Limits, NotReached, Outbound
from kit.http.webhooks import signed
from kit.security.encryption import Cipher
from services.subscriptions import metrics
from services.subscriptions.changes import Change
from services.subscriptions.webhooks.domain import Answer, Delivery, Outcome, Webhook

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
USER_AGENT = "practitioner-portal-webhooks/1"


class WebhookClient:
    """Calls of one webhook."""

    def __init__(self, outbound: Outbound, sealer: Cipher, clock: Clock) -> None:
        self._outbound, self._sealer, self._clock = outbound, sealer, clock

    async def call(self, webhook: Webhook, event_id: str, body: bytes) -> Answer:
        """Post one event; never raises what the receiver did wrong."""
        at = self._clock.now()
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": USER_AGENT}
        began = perf_counter()
        status, error = None, None
        try:
            signature = signed(self._secrets(webhook), event_id, at, body)
            status = await self._outbound.post(webhook.url, body, {**headers, **signature})
        except Forbidden:
            error = "address not allowed"
        except NotReached as cause:
            error = str(cause)
        took = perf_counter() - began
        metrics.webhook_seconds.observe(took)
        return Answer(status, error, round(took * 1000))

    def _secrets(self, webhook: Webhook) -> list[str]:
        sealed = [webhook.secret_sealed]
        if webhook.old_secret_sealed and webhook.old_secret_until and webhook.old_secret_until > self._clock.now():
            sealed.append(webhook.old_secret_sealed)
        return [self._sealer.open(one, place_of(webhook.id)) for one in sealed]


def place_of(webhook_id: str) -> str:
    """Where a sealed secret stands."""
    return f"webhook:{webhook_id}"


def delivery_of(
    webhook: Webhook, change: Change, attempt: int, answer: Answer, outcome: Outcome, clock: Clock
) -> Delivery:
    """The entry of the log, which is counted too."""
    metrics.webhook_deliveries.labels(outcome).inc()
    return Delivery.attempted(
        webhook.id, answer, outcome, event_id=change.id, event_type=change.type, practitioner_id=change.person,
        attempt=attempt, at=clock.now(),
    )  # fmt: skip


@asynccontextmanager
async def calls(limits: Limits, connections: int, sealer: Cipher, clock: Clock) -> AsyncIterator[WebhookClient]:
    """With connections of their own: one receiver's are never used for another."""
    async with Outbound(limits, connections) as outbound:
        yield WebhookClient(outbound, sealer, clock)
