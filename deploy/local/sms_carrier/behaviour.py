"""How each carrier behaves at the moment; tests, and people on the inbox page, switch it."""

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
    """`mode`: how requests are answered. `receipts`: delivered by callback, only on query, or as failures.

    refuse, throttle, money, configuration: nothing is sent, with the carrier's own code. hang: nothing is sent and
    nothing answered for `seconds`. delay: sent, answered after `seconds`. garbage, cut: sent, no readable answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "ok"
    seconds: float = Field(3, ge=0, le=300)
    receipts: Receipts = "on"


class Switch(Behaviour):
    """`POST /behaviour`: the whole behaviour of one carrier; omitted fields get their defaults."""

    provider: str


class Behaviours:
    """The current behaviour of each carrier."""

    def __init__(self, providers: Sequence[str]) -> None:
        self._now = dict.fromkeys(providers, Behaviour())

    def of(self, provider: str) -> Behaviour:
        return self._now[provider]

    def set(self, switch: Switch) -> None:
        """Raise `KeyError` for an unknown carrier."""
        if switch.provider not in self._now:
            raise KeyError(switch.provider)
        self._now[switch.provider] = Behaviour(**switch.model_dump(exclude={"provider"}))

    def all(self) -> dict[str, Behaviour]:
        return dict(self._now)


class TruncatedResponse(Response):
    """A response cut short: the server closes the connection before it has sent all announced bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
