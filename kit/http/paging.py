"""Lists page by page."""

import base64
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query

from kit.core.documents import Cursor
from kit.core.errors import InvalidFields
from kit.http.routes import Out

T = TypeVar("T")


class Page(Out, Generic[T]):
    """A list, and the cursor of its next page."""

    items: list[T]
    next_cursor: str | None = None


def write_cursor(cursor: Cursor | None) -> str | None:
    """An opaque `next_cursor`."""
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(f"{cursor[0].isoformat()}\n{cursor[1]}".encode()).decode().rstrip("=")


def read_cursor(cursor: Annotated[str | None, Query(max_length=200)] = None) -> Cursor | None:
    """What `write_cursor` wrote. Raises 422 `cursor_invalid`."""
    if cursor is None:
        return None
    try:
        at, identity = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("\n")
        return datetime.fromisoformat(at), identity
    except ValueError as error:
        raise InvalidFields.one("cursor", "cursor_invalid", "翻页标记无效，请从第一页重新开始") from error


After = Annotated[Cursor | None, Depends(read_cursor)]
