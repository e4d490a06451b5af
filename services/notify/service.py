"""Messages for operators: list, show, send again."""

from datetime import timedelta
from functools import partial

from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound
from kit.mongo import Cursor, retry_on_conflict
from kit.security.tokens import Caller
from services.notify.domain import Message
from services.notify.settings import NoticeSettings
from services.notify.store import Messages


class NotifyService:
    """Reads messages and sends failed notices again, for the role `operator`."""

    def __init__(self, messages: Messages, notices: NoticeSettings, clock: Clock) -> None:
        self._messages = messages
        self._clock = clock
        self._lifetime = timedelta(seconds=notices.lifetime_seconds)

    async def page(
        self, caller: Caller, state: str | None, purpose: str | None, after: Cursor | None, limit: int
    ) -> tuple[list[Message], Cursor | None]:
        """A page of messages, newest first, and the cursor of the next page."""
        caller.require(role="operator")
        return await self._messages.page(state, purpose, after, limit)

    async def get(self, caller: Caller, message_id: str) -> Message:
        """One message. Raises `NotFound`."""
        caller.require(role="operator")
        message = await self._messages.get(message_id)
        if message is None:
            raise NotFound
        return message

    async def retry(self, caller: Caller, message_id: str) -> Message:
        """Queue a failed notice again; a worker sends it. Raises `NotFound`, 409."""
        return await retry_on_conflict(partial(self._retry, caller, message_id))

    async def _retry(self, caller: Caller, message_id: str) -> Message:
        message = await self.get(caller, message_id)
        if message.is_code:
            raise AppError(409, "code_not_retried", "动态密码不能由工作人员重发，请本人在登录页面重新获取")
        if message.state != "failed":
            raise AppError(409, "not_failed", "只有发送失败的通知可以重新发送")
        if message.phone_sealed is None:
            raise AppError(409, "phone_forgotten", "该通知的手机号码已按规定清除，无法重新发送")
        now = self._clock.now()
        again = message.queued_again(send_before=now + self._lifetime, at=now, by=caller.label)
        await self._messages.replace(again)
        return again
