"""The HTTP app: a path for each channel and for the heartbeat, called by Alertmanager; health and metrics beside them.

Anything but 2xx makes Alertmanager try again, with growing pauses, and with every interval of the group after that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from prometheus_client import Counter, Gauge
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from deploy.alerts.channels import Channel, TooMany, Undelivered, channels
from deploy.alerts.notices import Notification, message
from deploy.alerts.settings import AlertSettings
from kit.observability import log
from kit.observability.metrics import initialise
from kit.runtime import health

logger = log.get(__name__)
CHANNELS = ("wecom", "dingtalk", "mail")
messages = Counter("alert_messages_total", "Notifications by what became of them", ["channel", "outcome"])
channel_ok = Gauge("alert_channel_ok", "0 while the last attempt of a configured channel failed", ["channel"])
heartbeats = Counter("alert_heartbeats_total", "Heartbeats: sent, failed, withheld", ["outcome"])


class Sender:
    """Sends notifications, and remembers which channels work."""

    def __init__(self, settings: AlertSettings, client: httpx2.AsyncClient) -> None:
        self._settings, self._client = settings, client
        self._channels = channels(settings, client)
        self._broken: set[str] = set()
        initialise(messages, tuple(self._channels), ("sent", "failed", "limited"))
        initialise(heartbeats, ("sent", "failed", "withheld"))
        for name in self._channels:
            channel_ok.labels(name).set(1)
        if not self._channels:
            logger.error("alerts reach nobody: no channel is configured")

    async def notify(self, name: str, notification: Notification) -> Response:
        """Send through a channel; an unconfigured one has nothing to do."""
        channel = self._channels.get(name)
        if channel is None or not notification.alerts:
            return Response(status_code=204)
        try:
            await self._send(channel, notification)
        except TooMany as error:
            return self._failed(name, "limited", error)
        except Undelivered as error:
            self._broken.add(name)
            channel_ok.labels(name).set(0)
            return self._failed(name, "failed", error)
        self._broken.discard(name)
        channel_ok.labels(name).set(1)
        messages.labels(name, "sent").inc()
        logger.info("alert sent", channel=name, alerts=len(notification.alerts), status=notification.status)
        return JSONResponse({"sent": True})

    async def heartbeat(self) -> Response:
        """Call the heartbeat's address, but only while a channel works: otherwise the other party has to notice."""
        url = self._settings.heartbeat.url.get_secret_value()
        if not url:
            return Response(status_code=204)
        if self._broken >= self._channels.keys():
            return self._no_heartbeat("withheld", "no channel works")
        try:
            (await self._client.get(url)).raise_for_status()
        except httpx2.HTTPError as error:
            return self._no_heartbeat("failed", type(error).__name__)
        heartbeats.labels("sent").inc()
        return JSONResponse({"sent": True})

    async def _send(self, channel: Channel, notification: Notification) -> None:
        await channel.send(message(notification, self._settings.site, self._settings.runbooks_url, channel.most_bytes))

    def _failed(self, name: str, outcome: str, error: Undelivered) -> Response:
        messages.labels(name, outcome).inc()
        logger.warning("alert not sent", channel=name, outcome=outcome, error=str(error))
        return JSONResponse({"sent": False, "error": str(error)}, 503)

    def _no_heartbeat(self, outcome: str, error: str) -> Response:
        heartbeats.labels(outcome).inc()
        logger.warning("heartbeat not sent", outcome=outcome, error=error)
        return JSONResponse({"sent": False, "error": error}, 503)


def create_app(settings: AlertSettings) -> Starlette:
    """The app, whose channels are open while it serves."""

    @asynccontextmanager
    async def opened(app: Starlette) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(timeout=settings.answer_seconds) as client:
            app.state.sender = Sender(settings, client)
            yield

    async def notify(request: Request) -> Response:
        try:
            notification = Notification.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"error": f"{error.error_count()} fields are wrong"}, 400)
        sender: Sender = request.app.state.sender
        return await sender.notify(request.url.path.strip("/"), notification)

    async def heartbeat(request: Request) -> Response:
        sender: Sender = request.app.state.sender
        return await sender.heartbeat()

    return Starlette(
        routes=[
            *(Route(f"/{name}", notify, methods=["POST"]) for name in CHANNELS),
            Route("/heartbeat", heartbeat, methods=["POST"]),
            Mount("/", health.application({})),
        ],
        lifespan=opened,
    )
