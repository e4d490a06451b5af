"""What the routes of subscriptions share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.subscriptions.feed.service import Feed
from services.subscriptions.webhooks.service import WebhookService


@dataclass(frozen=True)
class Services:
    """What the routes call."""

    feed: Feed
    webhooks: WebhookService


async def _services(request: Request) -> Services:
    services: Services = request.app.state.service
    return services


ServicesDep = Annotated[Services, Depends(_services)]
