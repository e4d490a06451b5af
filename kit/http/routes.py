"""Types for routes: bodies, parameters, and a route class that refuses ambiguous JSON."""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, NoReturn

from fastapi import Path, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Id = Annotated[str, Path(pattern=UUID_PATTERN)]
PersonId = Annotated[str, Path(pattern=rf"{UUID_PATTERN}|^me$", description="a practitioner's id, or `me`")]
Limit = Annotated[int, Query(ge=1, le=200)]


class In(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class _Request(Request):
    """Parses strict JSON (RFC 8259, I-JSON RFC 7493): no duplicate member names, no NaN or Infinity."""

    async def json(self) -> object:
        return json.loads(await self.body(), object_pairs_hook=_no_name_twice, parse_constant=_no_constant)


def _no_name_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):  # a proxy or a log may have used the other one
        raise json.JSONDecodeError("duplicate member name", "", 0)
    return members


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError("not a number of JSON", "", 0)


class StrictRoute(APIRoute):
    """Routes of services (`APIRouter(route_class=StrictRoute)`): ambiguous JSON is refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """FastAPI's own handler, on a stricter request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_Request(request.scope, request.receive))

        return handle
