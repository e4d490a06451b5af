"""The operations on webhooks: register, change, pause, resume, renew the secret, test, replay."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import orjson

from kit.core.clock import Clock, rfc3339
from kit.core.errors import AppError, InvalidFields, NotFound, NotYours, TooManyRequests
from kit.core.ids import new_id, secret_id
from kit.http.outbound import Forbidden, NotReached, checked_url, resolve
from kit.http.webhooks import new_secret
from kit.mongo import Conflict, Cursor
from kit.security.encryption import Cipher
from kit.security.tokens import Caller
from services.subscriptions.domain import SCOPE
from services.subscriptions.feed_events import FeedEvent
from services.subscriptions.settings import WebhookSettings
from services.subscriptions.webhooks.client import WebhookClient, delivery_of, secret_context
from services.subscriptions.webhooks.domain import (
    Answer,
    Delivery,
    Outcome,
    Progress,
    Reason,
    Replay,
    State,
    Webhook,
    WebhookDraft,
)
from services.subscriptions.webhooks.store import Clients, Deliveries, Progresses, Replays, Webhooks

OPERATOR: Literal["operator"] = "operator"
TEST = "subscriptions.webhook.tested.v1"


@dataclass(frozen=True)
class Stores:
    """The collections of webhooks."""

    webhooks: Webhooks
    replays: Replays
    deliveries: Deliveries
    progress: Progresses
    clients: Clients

    async def prepare(self) -> None:
        """Create the indexes once; a readiness check."""
        for store in (self.webhooks, self.replays, self.deliveries):
            await store.prepare()


class WebhookService:
    """Clients with the scope `changes:read` manage their own webhooks; operators see, pause and resume all."""

    def __init__(
        self, stores: Stores, make_client: Callable[[], AbstractAsyncContextManager[WebhookClient]], cipher: Cipher,
        settings: WebhookSettings, clock: Clock, *, loopback: bool,
    ) -> None:  # fmt: skip
        self._stores = stores
        self._webhooks = stores.webhooks
        self._make_client = make_client
        self._cipher = cipher
        self._settings = settings
        self._clock = clock
        self._loopback = loopback
        self._test_slots = asyncio.Semaphore(settings.tests_at_once)

    async def register(self, caller: Caller, draft: WebhookDraft, since: datetime | None) -> tuple[Webhook, str]:
        """Register a webhook for events from now (or `since`) on; returns it and its secret. Raises 403, 409, 422."""
        caller.require(scope=SCOPE)
        await self._check_count(caller)
        await self._check_address(draft.url)
        identity = secret_id()
        secret = new_secret()
        sealed = self._cipher.encrypt(secret, secret_context(identity))
        webhook = Webhook.registered(
            identity, caller.subject, draft, sealed, since=since, at=self._clock.now(), by=caller.label
        )
        await self._webhooks.insert(webhook)
        return webhook, secret

    async def _check_count(self, caller: Caller) -> None:
        limit = self._settings.per_client
        found, _ = await self._webhooks.page(caller.subject, None, None, limit)
        if len(found) >= limit:
            raise AppError(409, "too_many_webhooks", f"最多可登记{limit}个推送地址，请先删除不再使用的")

    async def _check_address(self, text: str) -> None:
        """Refuse a URL that is not public now; it is checked again before each delivery."""
        try:
            url = checked_url(text, loopback=self._loopback)
            await resolve(url.host, url.port or 443, loopback=self._loopback)
        except Forbidden as error:
            message = "推送地址须为可从公网访问的 https 地址，不含用户名、密码和 # 部分"
            raise InvalidFields.one("url", "address_not_allowed", message) from error
        except NotReached:  # a host name that DNS does not resolve yet
            return

    async def page(
        self, caller: Caller, state: State | None, after: Cursor | None, limit: int
    ) -> tuple[list[Webhook], Cursor | None]:
        """A page of the client's webhooks, for operators of all, newest first, and the cursor of the next page."""
        caller.require(role=OPERATOR, scope=SCOPE)
        client = None if caller.may(role=OPERATOR) else caller.subject
        return await self._webhooks.page(client, state, after, limit)

    async def get(self, caller: Caller, webhook_id: str) -> Webhook:
        """A webhook of the client, for operators any. Raises `NotFound`."""
        return await self._found(caller, webhook_id, operator=True)

    async def progress(self, webhook: Webhook) -> Progress | None:
        """Its progress; None before a worker has started it."""
        return (await self._stores.progress.get(webhook.id))[1]

    async def is_suspended(self, webhook: Webhook) -> bool:
        """Whether its client is disabled or has lost the scope, so that nothing is delivered."""
        return await self._stores.clients.has_ended(webhook.client_id)

    async def _found(self, caller: Caller, webhook_id: str, *, operator: bool = False) -> Webhook:
        caller.require(scope=SCOPE, role=OPERATOR if operator else "")
        webhook = await self._webhooks.get(webhook_id)
        if webhook is None or webhook.state == "deleted":
            raise NotFound
        if webhook.client_id != caller.subject and not (operator and caller.may(role=OPERATOR)):
            raise NotYours
        return webhook

    async def change(self, caller: Caller, webhook_id: str, version: int, draft: WebhookDraft) -> Webhook:
        """Change URL, kinds or description. Raises `NotFound`, 412, 422."""
        webhook = await self._found(caller, webhook_id)
        if webhook.version != version:
            raise _changed()
        await self._check_address(draft.url)
        return await self._replace(webhook.edited(draft, at=self._clock.now(), by=caller.label))

    async def delete(self, caller: Caller, webhook_id: str, version: int) -> None:
        """Delete it and its secrets. Raises `NotFound`, 412."""
        webhook = await self._found(caller, webhook_id)
        if webhook.version != version:
            raise _changed()
        await self._replace(webhook.deleted(at=self._clock.now(), by=caller.label))

    async def pause(self, caller: Caller, webhook_id: str) -> Webhook:
        """Stop delivery until it is resumed; idempotent. An operator's pause replaces the client's."""
        webhook = await self.get(caller, webhook_id)
        reason: Reason = OPERATOR if caller.may(role=OPERATOR) else "owner"
        if webhook.state == "paused" and reason in ("owner", webhook.reason):
            return webhook
        return await self._replace(webhook.paused(reason, at=self._clock.now(), by=caller.label))

    async def resume(self, caller: Caller, webhook_id: str) -> Webhook:
        """Continue delivery where it was paused; idempotent. Raises 409 for a client if an operator paused it."""
        webhook = await self.get(caller, webhook_id)
        if webhook.state == "active":
            return webhook
        if webhook.reason == OPERATOR and not caller.may(role=OPERATOR):
            raise AppError(409, "paused_by_operator", "该推送已由运维人员暂停，请联系运维人员恢复")
        return await self._replace(webhook.resumed(at=self._clock.now(), by=caller.label))

    async def renew_secret(self, caller: Caller, webhook_id: str) -> tuple[Webhook, str]:
        """Make a new secret and return it; for `old_secret_seconds` events are signed with both."""
        webhook = await self._found(caller, webhook_id)
        secret = new_secret()
        sealed = self._cipher.encrypt(secret, secret_context(webhook_id))
        now = self._clock.now()
        until = now + timedelta(seconds=self._settings.old_secret_seconds)
        return await self._replace(webhook.secret_renewed(sealed, old_until=until, at=now, by=caller.label)), secret

    async def _replace(self, webhook: Webhook) -> Webhook:
        try:
            await self._webhooks.replace(webhook)
        except Conflict as conflict:
            raise _changed() from conflict
        return webhook

    async def test(self, caller: Caller, webhook_id: str) -> Answer:
        """Send a test event now, in any state, and return the receiver's answer. Raises `NotFound`, 429."""
        webhook = await self._found(caller, webhook_id)
        if self._test_slots.locked():
            raise TooManyRequests(1, "正在发送的测试过多")
        event = self._test_event(webhook)
        async with self._test_slots, self._make_client() as client:
            answer = await client.call(webhook, event.id, event.body)
        outcome: Outcome = "delivered" if answer.ok else "failed"
        await self._stores.deliveries.insert_all([delivery_of(webhook, event, 1, answer, outcome, self._clock)])
        return answer

    def _test_event(self, webhook: Webhook) -> FeedEvent:
        identity = f"test:{new_id()}"
        attributes = {
            "specversion": "1.0", "id": identity, "source": "/subscriptions", "type": TEST, "subject": webhook.id,
            "time": rfc3339(self._clock.now()), "datacontenttype": "application/json",
            "data": {"webhook_id": webhook.id, "kinds": webhook.kinds},
        }  # fmt: skip
        return FeedEvent(0, 0, 0, identity, TEST, "", orjson.dumps(attributes))

    async def replay(self, caller: Caller, webhook_id: str, since: datetime | None, person: str | None) -> Replay:
        """Deliver again the events of a person, or all since a time, or both. Raises `NotFound`, 422."""
        webhook = await self._found(caller, webhook_id)
        if since is None and person is None:
            raise InvalidFields.one("since", "required", "请填写起始时间或人员编号")
        replay = Replay.requested(webhook.id, since, person, at=self._clock.now(), by=caller.label)
        await self._stores.replays.insert(replay)
        return replay

    async def deliveries(
        self, caller: Caller, webhook_id: str, outcome: Outcome | None, after: Cursor | None, limit: int
    ) -> tuple[list[Delivery], Cursor | None]:
        """A page of the log, newest first, and the cursor of the next page. Raises `NotFound`."""
        webhook = await self.get(caller, webhook_id)
        return await self._stores.deliveries.page(webhook.id, outcome, after, limit)


def _changed() -> AppError:
    return AppError(412, "version_conflict", "该推送设置已被修改，请核对最新内容后再操作")
