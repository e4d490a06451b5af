"""The HTTP client of webhooks: posts signed events to public addresses only, and returns the receiver's answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from kit.core.clock import Clock
from kit.http.outbound import Forbidden, Limits, NotReached, Outbound
from kit.http.webhooks import signed
from kit.security.encryption import Cipher
from services.subscriptions import metrics
from services.subscriptions.feed_events import FeedEvent
from services.subscriptions.webhooks.domain import Answer, Delivery, Outcome, Webhook

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
USER_AGENT = "practitioner-portal-webhooks/1"


class WebhookClient:
    """Posts events to one webhook."""

    def __init__(self, outbound: Outbound, cipher: Cipher, clock: Clock) -> None:
        self._outbound = outbound
        self._cipher = cipher
        self._clock = clock

    async def call(self, webhook: Webhook, event_id: str, body: bytes) -> Answer:
        """Post one event; failures of the receiver or the network are in the answer."""
        at = self._clock.now()
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": USER_AGENT}
        started = perf_counter()
        status, error = None, None
        try:
            signature = signed(self._secrets(webhook), event_id, at, body)
            status = await self._outbound.post(webhook.url, body, {**headers, **signature})
        except Forbidden:
            error = "address not allowed"
        except NotReached as cause:
            error = str(cause)
        seconds = perf_counter() - started
        metrics.webhook_seconds.observe(seconds)
        return Answer(status, error, round(seconds * 1000))

    def _secrets(self, webhook: Webhook) -> list[str]:
        sealed = [webhook.secret_sealed]
        if webhook.old_secret_sealed and webhook.old_secret_until and webhook.old_secret_until > self._clock.now():
            sealed.append(webhook.old_secret_sealed)
        return [self._cipher.decrypt(one, secret_context(webhook.id)) for one in sealed]


def secret_context(webhook_id: str) -> str:
    """The encryption context of a webhook's secret."""
    return f"webhook:{webhook_id}"


def delivery_of(
    webhook: Webhook, event: FeedEvent, attempt: int, answer: Answer, outcome: Outcome, clock: Clock
) -> Delivery:
    """Make the log entry of an attempt, and count it."""
    metrics.webhook_deliveries.labels(outcome).inc()
    return Delivery.attempted(
        webhook.id, answer, outcome, event_id=event.id, event_type=event.type, practitioner_id=event.person,
        attempt=attempt, at=clock.now(),
    )  # fmt: skip


@asynccontextmanager
async def webhook_client(
    limits: Limits, connections: int, cipher: Cipher, clock: Clock
) -> AsyncIterator[WebhookClient]:
    """A client with its own connections: receivers do not share any."""
    async with Outbound(limits, connections) as outbound:
        yield WebhookClient(outbound, cipher, clock)
