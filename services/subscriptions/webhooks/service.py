"""What clients decide about their webhooks: register, change, pause, resume, new secret, test event, replay."""

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
from services.subscriptions.changes import Change
from services.subscriptions.domain import SCOPE
from services.subscriptions.settings import WebhookSettings
from services.subscriptions.webhooks.calls import WebhookClient, delivery_of, place_of
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
    """What is kept."""

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
    """Webhooks for clients with the scope `changes:read`, each their own; role `operator` sees all, pauses, resumes."""

    def __init__(
        self, stores: Stores, calls: Callable[[], AbstractAsyncContextManager[WebhookClient]], sealer: Cipher,
        settings: WebhookSettings, clock: Clock, *, loopback: bool,
    ) -> None:  # fmt: skip
        self._stores, self._webhooks, self._calls, self._sealer = stores, stores.webhooks, calls, sealer
        self._settings, self._clock, self._loopback = settings, clock, loopback
        self._testing = asyncio.Semaphore(settings.tests_at_once)

    async def register(self, caller: Caller, wish: WebhookDraft, since: datetime | None) -> tuple[Webhook, str]:
        """A new webhook for everything from now on (or from `since` on), and its secret. Raises 403, 409, 422."""
        caller.require(scope=SCOPE)
        await self._check_count(caller)
        await self._check_address(wish.url)
        now, identity, secret = self._clock.now(), secret_id(), new_secret()
        sealed = self._sealer.seal(secret, place_of(identity))
        webhook = Webhook.registered(identity, caller.subject, wish, sealed, since=since, at=now, by=caller.label)
        await self._webhooks.insert(webhook)
        return webhook, secret

    async def _check_count(self, caller: Caller) -> None:
        most = self._settings.per_client
        found, _ = await self._webhooks.page(caller.subject, None, None, most)
        if len(found) >= most:
            raise AppError(409, "too_many_webhooks", f"最多可登记{most}个推送地址，请先删除不再使用的")

    async def _check_address(self, text: str) -> None:
        """As far as it can be known now: it is looked at again at every call."""
        try:
            url = checked_url(text, loopback=self._loopback)
            await resolve(url.host, url.port or 443, loopback=self._loopback)
        except Forbidden as error:
            sentence = "推送地址须为可从公网访问的 https 地址，不含用户名、密码和 # 部分"
            raise InvalidFields.one("url", "address_not_allowed", sentence) from error
        except NotReached:  # a name that is not known yet
            return

    async def page(
        self, caller: Caller, state: State | None, after: Cursor | None, limit: int
    ) -> tuple[list[Webhook], Cursor | None]:
        """A page of the client's own, of all for an operator; newest first, and where the next one begins."""
        caller.require(role=OPERATOR, scope=SCOPE)
        client = None if caller.may(role=OPERATOR) else caller.subject
        return await self._webhooks.page(client, state, after, limit)

    async def get(self, caller: Caller, webhook_id: str) -> Webhook:
        """One's own, or any for an operator. Raises `NotFound`."""
        return await self._found(caller, webhook_id, operator=True)

    async def progress(self, webhook: Webhook) -> Progress | None:
        """How far it is; None before a worker has seen it."""
        return (await self._stores.progress.get(webhook.id))[1]

    async def is_suspended(self, webhook: Webhook) -> bool:
        """Whether it is not called because its client was disabled or lost the scope."""
        return await self._stores.clients.has_ended(webhook.client_id)

    async def _found(self, caller: Caller, webhook_id: str, *, operator: bool = False) -> Webhook:
        caller.require(scope=SCOPE, role=OPERATOR if operator else "")
        webhook = await self._webhooks.get(webhook_id)
        if webhook is None or webhook.state == "deleted":
            raise NotFound
        if webhook.client_id != caller.subject and not (operator and caller.may(role=OPERATOR)):
            raise NotYours
        return webhook

    async def change(self, caller: Caller, webhook_id: str, version: int, wish: WebhookDraft) -> Webhook:
        """Another address or other kinds, from now on. Raises `NotFound`, 412, 422."""
        webhook = await self._found(caller, webhook_id)
        if webhook.version != version:
            raise _changed()
        await self._check_address(wish.url)
        return await self._written(webhook.edited(wish, at=self._clock.now(), by=caller.label))

    async def delete(self, caller: Caller, webhook_id: str, version: int) -> None:
        """No more calls; the secrets are forgotten. Raises `NotFound`, 412."""
        webhook = await self._found(caller, webhook_id)
        if webhook.version != version:
            raise _changed()
        await self._written(webhook.deleted(at=self._clock.now(), by=caller.label))

    async def pause(self, caller: Caller, webhook_id: str) -> Webhook:
        """No calls until it is resumed; its place is kept. Again is no error; an operator's pause replaces another."""
        webhook = await self.get(caller, webhook_id)
        reason: Reason = OPERATOR if caller.may(role=OPERATOR) else "owner"
        if webhook.state == "paused" and reason in ("owner", webhook.reason):
            return webhook
        return await self._written(webhook.paused(reason, at=self._clock.now(), by=caller.label))

    async def resume(self, caller: Caller, webhook_id: str) -> Webhook:
        """Go on where it was. Again is no error. Raises 409 when an operator paused it: only they resume it."""
        webhook = await self.get(caller, webhook_id)
        if webhook.state == "active":
            return webhook
        if webhook.reason == OPERATOR and not caller.may(role=OPERATOR):
            raise AppError(409, "paused_by_operator", "该推送已由运维人员暂停，请联系运维人员恢复")
        return await self._written(webhook.resumed(at=self._clock.now(), by=caller.label))

    async def renew_secret(self, caller: Caller, webhook_id: str) -> tuple[Webhook, str]:
        """A new secret; the old one signs too for a day."""
        webhook, secret = await self._found(caller, webhook_id), new_secret()
        now, sealed = self._clock.now(), self._sealer.seal(secret, place_of(webhook_id))
        until = now + timedelta(seconds=self._settings.old_secret_seconds)
        return await self._written(webhook.secret_renewed(sealed, old_until=until, at=now, by=caller.label)), secret

    async def _written(self, webhook: Webhook) -> Webhook:
        try:
            await self._webhooks.replace(webhook)
        except Conflict as conflict:
            raise _changed() from conflict
        return webhook

    async def test(self, caller: Caller, webhook_id: str) -> Answer:
        """Send a test event now, whatever the state, and tell what came of it. Raises `NotFound`, 429."""
        webhook = await self._found(caller, webhook_id)
        if self._testing.locked():
            raise TooManyRequests(1, "正在发送的测试过多")
        change = self._test_event(webhook)
        async with self._testing, self._calls() as calls:
            answer = await calls.call(webhook, change.id, change.body)
        outcome: Outcome = "delivered" if answer.ok else "failed"
        await self._stores.deliveries.insert_all([delivery_of(webhook, change, 1, answer, outcome, self._clock)])
        return answer

    def _test_event(self, webhook: Webhook) -> Change:
        identity = f"test:{new_id()}"
        event = {
            "specversion": "1.0", "id": identity, "source": "/subscriptions", "type": TEST, "subject": webhook.id,
            "time": rfc3339(self._clock.now()), "datacontenttype": "application/json",
            "data": {"webhook_id": webhook.id, "kinds": webhook.kinds},
        }  # fmt: skip
        return Change(0, 0, 0, identity, TEST, "", orjson.dumps(event))

    async def replay(self, caller: Caller, webhook_id: str, since: datetime | None, person: str | None) -> Replay:
        """Deliver again what is about this person, or about everybody from a time on. Raises `NotFound`, 422."""
        webhook = await self._found(caller, webhook_id)
        if since is None and person is None:
            raise InvalidFields.one("since", "required", "请填写起始时间或人员编号")
        replay = Replay.requested(webhook.id, since, person, at=self._clock.now(), by=caller.label)
        await self._stores.replays.insert(replay)
        return replay

    async def deliveries(
        self, caller: Caller, webhook_id: str, outcome: Outcome | None, after: Cursor | None, limit: int
    ) -> tuple[list[Delivery], Cursor | None]:
        """A page of the log, newest first, and where the next one begins. Raises `NotFound`."""
        webhook = await self.get(caller, webhook_id)
        return await self._stores.deliveries.page(webhook.id, outcome, after, limit)


def _changed() -> AppError:
    return AppError(412, "version_conflict", "该推送设置已被修改，请核对最新内容后再操作")
