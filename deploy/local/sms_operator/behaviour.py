"""How each operator behaves at the moment: switched by tests and by people on the inbox page."""

from collections.abc import Sequence
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Mode = Literal["ok", "refuse", "throttle", "money", "configuration", "hang", "garbage", "delay", "cut"]
Receipts = Literal["on", "lost", "fail"]
MODES: tuple[Mode, ...] = get_args(Mode)
RECEIPTS: tuple[Receipts, ...] = get_args(Receipts)


class Behaviour(BaseModel):
    """`mode`: what becomes of requests. `receipts`: called back, only there for who asks, or bad ones.

    refuse, throttle, money, configuration: nothing is sent, by the operator's own code. hang: nothing is sent and
    nothing said for `seconds`. delay: sent, and answered after `seconds`. garbage, cut: sent, and no readable answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "ok"
    seconds: float = Field(3, ge=0, le=300)
    receipts: Receipts = "on"


class Switch(Behaviour):
    """`POST /behaviour`: all of one operator's behaviour; what is not said is as it is on a good day."""

    provider: str


class Behaviours:
    """The switches."""

    def __init__(self, providers: Sequence[str]) -> None:
        self._now = dict.fromkeys(providers, Behaviour())

    def of(self, provider: str) -> Behaviour:
        return self._now[provider]

    def set(self, switch: Switch) -> None:
        """Raises KeyError."""
        if switch.provider not in self._now:
            raise KeyError(switch.provider)
        self._now[switch.provider] = Behaviour(**switch.model_dump(exclude={"provider"}))

    def all(self) -> dict[str, Behaviour]:
        return dict(self._now)


class TruncatedResponse(Response):
    """An answer that breaks off: the server closes a connection on which it owes bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
