"""Routes of webhooks."""

from fastapi import APIRouter, Response

from kit.http.callers import CallerDep
from kit.http.paging import After, Page, write_cursor
from kit.http.routes import Id, Limit, StrictRoute
from kit.http.versions import ExpectedVersion, etag
from services.subscriptions.api import ApiDep
from services.subscriptions.webhooks.bodies import (
    DeliveryOut,
    NewReplay,
    NewWebhook,
    ReplayOut,
    TestOut,
    WebhookChange,
    WebhookOut,
    WebhookWithProgress,
    WebhookWithSecret,
)
from services.subscriptions.webhooks.domain import Outcome, State

WEBHOOKS = "/api/subscriptions/webhooks"
WEBHOOK = f"{WEBHOOKS}/{{webhook_id}}"
router = APIRouter(route_class=StrictRoute)


@router.post(WEBHOOKS, status_code=201)
async def create_webhook(
    services: ApiDep, caller: CallerDep, body: NewWebhook, response: Response
) -> WebhookWithSecret:
    """Register a webhook. Its secret is only in this response."""
    webhook, secret = await services.webhooks.register(caller, body.draft(), body.since)
    response.headers["Location"] = f"{WEBHOOKS}/{webhook.id}"
    response.headers["ETag"] = etag(webhook.version)
    return WebhookWithSecret.with_secret(webhook, secret)


@router.get(WEBHOOKS)
async def list_webhooks(
    services: ApiDep, caller: CallerDep, after: After, state: State | None = None, limit: Limit = 50
) -> Page[WebhookOut]:
    """The client's webhooks, for operators all; newest first."""
    found, next_cursor = await services.webhooks.page(caller, state, after, limit)
    return Page(items=[WebhookOut.of(webhook) for webhook in found], next_cursor=write_cursor(next_cursor))


@router.get(WEBHOOK)
async def get_webhook(services: ApiDep, caller: CallerDep, webhook_id: Id, response: Response) -> WebhookWithProgress:
    """One webhook and its progress; its version is the ETag."""
    webhook = await services.webhooks.get(caller, webhook_id)
    response.headers["ETag"] = etag(webhook.version)
    progress, suspended = await services.webhooks.progress(webhook), await services.webhooks.is_suspended(webhook)
    return WebhookWithProgress.with_progress(webhook, progress, suspended=suspended)


@router.put(WEBHOOK)
async def change_webhook(
    services: ApiDep, caller: CallerDep, webhook_id: Id, body: WebhookChange, version: ExpectedVersion
) -> WebhookOut:
    """Change URL, kinds or description; `If-Match` names the version that is replaced."""
    return WebhookOut.of(await services.webhooks.change(caller, webhook_id, version, body.draft()))


@router.delete(WEBHOOK, status_code=204)
async def delete_webhook(services: ApiDep, caller: CallerDep, webhook_id: Id, version: ExpectedVersion) -> None:
    """Delete a webhook; `If-Match` names the version that is deleted."""
    await services.webhooks.delete(caller, webhook_id, version)


@router.post(f"{WEBHOOK}/pause")
async def pause_webhook(services: ApiDep, caller: CallerDep, webhook_id: Id) -> WebhookOut:
    """Stop delivery until the webhook is resumed; no event is lost."""
    return WebhookOut.of(await services.webhooks.pause(caller, webhook_id))


@router.post(f"{WEBHOOK}/resume")
async def resume_webhook(services: ApiDep, caller: CallerDep, webhook_id: Id) -> WebhookOut:
    """Continue delivery where it was paused."""
    return WebhookOut.of(await services.webhooks.resume(caller, webhook_id))


@router.post(f"{WEBHOOK}/secret", status_code=201)
async def renew_secret(services: ApiDep, caller: CallerDep, webhook_id: Id) -> WebhookWithSecret:
    """Make a new secret, which is only in this response; until `old_secret_until` events are signed with both."""
    return WebhookWithSecret.with_secret(*await services.webhooks.renew_secret(caller, webhook_id))


@router.post(f"{WEBHOOK}/test")
async def test_webhook(services: ApiDep, caller: CallerDep, webhook_id: Id) -> TestOut:
    """Send a test event (`subscriptions.webhook.tested.v1`) now, and return its result."""
    return TestOut.of(await services.webhooks.test(caller, webhook_id))


@router.post(f"{WEBHOOK}/replays", status_code=202)
async def replay_webhook(services: ApiDep, caller: CallerDep, webhook_id: Id, body: NewReplay) -> ReplayOut:
    """Deliver events again: all since a time, those of one person, or both."""
    return ReplayOut.of(await services.webhooks.replay(caller, webhook_id, body.since, body.practitioner_id))


@router.get(f"{WEBHOOK}/deliveries")
async def list_deliveries(
    services: ApiDep,
    caller: CallerDep,
    webhook_id: Id,
    after: After,
    outcome: Outcome | None = None,
    limit: Limit = 50,
) -> Page[DeliveryOut]:
    """The attempts of the last seven days, newest first."""
    found, next_cursor = await services.webhooks.deliveries(caller, webhook_id, outcome, after, limit)
    return Page(items=[DeliveryOut.of(one) for one in found], next_cursor=write_cursor(next_cursor))
