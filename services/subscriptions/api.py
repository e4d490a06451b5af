"""The dependencies of all routes of subscriptions."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.subscriptions.feed.service import Feed
from services.subscriptions.webhooks.service import WebhookService


@dataclass(frozen=True)
class ApiDependencies:
    """What the routes call."""

    feed: Feed
    webhooks: WebhookService


async def _services(request: Request) -> ApiDependencies:
    services: ApiDependencies = request.app.state.service
    return services


ApiDep = Annotated[ApiDependencies, Depends(_services)]
