"""Where a code that was sent is, as pages show it."""

from dataclasses import dataclass

from services.portal.client.login import LoginCalls
from services.portal.session.visits import PageContext

WHERE = {
    "requested": "正在发送",
    "sent": "运营商已接收，等待送达",
    "delivered": "已送达手机",
    "failed": "发送失败，请核对手机信号后重新发送",
    "expired": "已失效，请重新获取",
    "used": "已使用，请重新获取",
}


@dataclass(frozen=True)
class Where:
    """Where the code is, how many tries are left, in how many seconds it may be sent again; `over`: it is of no use."""

    text: str
    tries_left: int
    wait: int
    over: bool


async def where_is(visit: PageContext, challenge_id: str) -> Where:
    """The code's current state, read from identity."""
    state = await LoginCalls(visit.portal.backend, visit.asker).code_state(challenge_id)
    wait = (state.resend_at - visit.portal.clock.now()).total_seconds()
    over = state.state in ("expired", "used") or state.tries_left == 0
    return Where(WHERE[state.state], state.tries_left, max(0, round(wait)), over)
