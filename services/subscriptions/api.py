"""Routes of subscriptions: translate between HTTP and the services, decide nothing."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from kit.core.errors import InvalidFields
from kit.http.callers import CallerDep
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Id, Limit, StrictRoute
from kit.http.versions import ExpectedVersion, etag
from services.subscriptions.bodies import (
    ChangesOut,
    DeliveryOut,
    Moment,
    NewReplay,
    NewWebhook,
    ReplayOut,
    TestOut,
    WebhookChange,
    WebhookOut,
    WebhookWithProgress,
    WebhookWithSecret,
)
from services.subscriptions.domain import Outcome, State
from services.subscriptions.feed import Feed, Wanted
from services.subscriptions.service import WebhookService
from services.subscriptions.settings import LONGEST_WAIT

CHANGES = "/api/records/changes"
WEBHOOKS = "/api/subscriptions/webhooks"
WEBHOOK = f"{WEBHOOKS}/{{webhook_id}}"
router = APIRouter(route_class=StrictRoute)


@dataclass(frozen=True)
class Services:
    """What the routes call."""

    feed: Feed
    webhooks: WebhookService


async def _services(request: Request) -> Services:
    services: Services = request.app.state.service
    return services


ServicesDep = Annotated[Services, Depends(_services)]


@router.get(CHANGES, response_model=ChangesOut)
async def get_changes(
    services: ServicesDep,
    caller: CallerDep,
    after: Annotated[str | None, Query(description="the `next_cursor` of the last answer")] = None,
    since: Annotated[
        Moment | None, Query(description="where to begin without a cursor; else from the beginning")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    wait: Annotated[
        int, Query(ge=0, le=LONGEST_WAIT, description="seconds to wait for a change when there is none")
    ] = 0,
) -> Response:
    """The changes of all records behind a cursor, in order for each person: the events of Kafka's records.changes."""
    if after is not None and since is not None:
        raise InvalidFields.one("since", "not_both", "after 与 since 只能使用其中之一")
    found, cursor = await services.feed.changes(caller, Wanted(after, since, limit, wait))
    items = b",".join(change.body for change in found)
    body = b'{"items":[' + items + b'],"next_cursor":"' + cursor.encode() + b'"}'
    return Response(body, media_type="application/json")


@router.post(WEBHOOKS, status_code=201)
async def create_webhook(
    services: ServicesDep, caller: CallerDep, body: NewWebhook, response: Response
) -> WebhookWithSecret:
    """Register a webhook. The secret is in this answer only."""
    webhook, secret = await services.webhooks.register(caller, body.wish(), body.since)
    response.headers["Location"] = f"{WEBHOOKS}/{webhook.id}"
    response.headers["ETag"] = etag(webhook.version)
    return WebhookWithSecret.with_secret(webhook, secret)


@router.get(WEBHOOKS)
async def list_webhooks(
    services: ServicesDep, caller: CallerDep, after: After, state: State | None = None, limit: Limit = 50
) -> Page[WebhookOut]:
    """The client's own webhooks, all for an operator; newest first."""
    found, following = await services.webhooks.page(caller, state, after, limit)
    return Page(items=[WebhookOut.of(webhook) for webhook in found], next_cursor=write_cursor(following))


@router.get(WEBHOOK)
async def get_webhook(
    services: ServicesDep, caller: CallerDep, webhook_id: Id, response: Response
) -> WebhookWithProgress:
    """One webhook and how it gets on; its version is the ETag."""
    webhook = await services.webhooks.get(caller, webhook_id)
    response.headers["ETag"] = etag(webhook.version)
    progress, suspended = await services.webhooks.progress(webhook), await services.webhooks.is_suspended(webhook)
    return WebhookWithProgress.with_progress(webhook, progress, suspended=suspended)


@router.put(WEBHOOK)
async def change_webhook(
    services: ServicesDep, caller: CallerDep, webhook_id: Id, body: WebhookChange, version: ExpectedVersion
) -> WebhookOut:
    """Another address, other kinds; `If-Match` names the version that is replaced."""
    return WebhookOut.of(await services.webhooks.change(caller, webhook_id, version, body.wish()))


@router.delete(WEBHOOK, status_code=204)
async def delete_webhook(services: ServicesDep, caller: CallerDep, webhook_id: Id, version: ExpectedVersion) -> None:
    """Delete a webhook; `If-Match` names the version that is deleted."""
    await services.webhooks.delete(caller, webhook_id, version)


@router.post(f"{WEBHOOK}/pause")
async def pause_webhook(services: ServicesDep, caller: CallerDep, webhook_id: Id) -> WebhookOut:
    """No calls until it is resumed; nothing is lost meanwhile."""
    return WebhookOut.of(await services.webhooks.pause(caller, webhook_id))


@router.post(f"{WEBHOOK}/resume")
async def resume_webhook(services: ServicesDep, caller: CallerDep, webhook_id: Id) -> WebhookOut:
    """Go on where it was paused."""
    return WebhookOut.of(await services.webhooks.resume(caller, webhook_id))


@router.post(f"{WEBHOOK}/secret", status_code=201)
async def renew_secret(services: ServicesDep, caller: CallerDep, webhook_id: Id) -> WebhookWithSecret:
    """A new secret, in this answer only; until `old_secret_until` each call is signed with both."""
    return WebhookWithSecret.with_secret(*await services.webhooks.renew_secret(caller, webhook_id))


@router.post(f"{WEBHOOK}/test")
async def test_webhook(services: ServicesDep, caller: CallerDep, webhook_id: Id) -> TestOut:
    """Send a test event (`subscriptions.webhook.tested.v1`) now, and tell what came of it."""
    return TestOut.of(await services.webhooks.test(caller, webhook_id))


@router.post(f"{WEBHOOK}/replays", status_code=202)
async def replay_webhook(services: ServicesDep, caller: CallerDep, webhook_id: Id, body: NewReplay) -> ReplayOut:
    """Deliver again: everything from a time on, or what is about one person."""
    return ReplayOut.of(await services.webhooks.replay(caller, webhook_id, body.since, body.practitioner_id))


@router.get(f"{WEBHOOK}/deliveries")
async def list_deliveries(
    services: ServicesDep,
    caller: CallerDep,
    webhook_id: Id,
    after: After,
    outcome: Outcome | None = None,
    limit: Limit = 50,
) -> Page[DeliveryOut]:
    """The attempts of the last seven days, newest first."""
    found, following = await services.webhooks.deliveries(caller, webhook_id, outcome, after, limit)
    return Page(items=[DeliveryOut.of(one) for one in found], next_cursor=write_cursor(following))
