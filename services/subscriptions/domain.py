"""Shared by the change feed and webhooks: their scope, and the format of times in requests."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

SCOPE = "changes:read"
"""The scope that allows an API client to read the feed and register webhooks."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def _time_from_text(value: object) -> object:
    if not isinstance(value, str) or "T" not in value:  # pydantic would also accept timestamps
        raise PydanticCustomError("time_invalid", "请填写带时区的时间，例如 2026-01-31T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST), BeforeValidator(_time_from_text)]
