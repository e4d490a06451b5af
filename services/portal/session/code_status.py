"""The delivery state of a code, as pages show it."""

from dataclasses import dataclass

from services.portal.client.login import LoginCalls
from services.portal.session.page_context import PageContext

STATES = {
    "requested": "正在发送",
    "sent": "运营商已接收，等待送达",
    "delivered": "已送达手机",
    "failed": "发送失败，请核对手机信号后重新发送",
    "expired": "已失效，请重新获取",
    "used": "已使用，请重新获取",
}


@dataclass(frozen=True)
class CodeStatus:
    """State, tries left, and seconds until it may be sent again (`wait`); `over`: it can't be used any more."""

    text: str
    tries_left: int
    wait: int
    over: bool


async def code_status(context: PageContext, challenge_id: str) -> CodeStatus:
    """Read the state from identity."""
    state = await LoginCalls(context.portal.backend, context.caller).code_state(challenge_id)
    wait = (state.resend_at - context.portal.clock.now()).total_seconds()
    over = state.state in ("expired", "used") or state.tries_left == 0
    return CodeStatus(STATES[state.state], state.tries_left, max(0, round(wait)), over)
