"""Cursors of the change feed: positions in the topic as opaque text."""

import base64
import json
from collections.abc import Sequence

CURSOR_VERSION = 1
MAX_OFFSET = 2**63 - 1
MAX_CURSOR_LENGTH = 4_000


class BadCursor(ValueError):
    """Not a cursor of ours."""


class ForeignCursor(ValueError):
    """A cursor for another number of partitions: the topic was recreated since."""


def write_cursor(offsets: Sequence[int]) -> str:
    """A position in the topic as opaque text; `offsets`: the next offset of each partition."""
    text = json.dumps([CURSOR_VERSION, *offsets], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, partitions: int) -> list[int]:
    """The offsets in a cursor of `write_cursor`. Raises `BadCursor`, `ForeignCursor`."""
    if len(cursor) > MAX_CURSOR_LENGTH:
        raise BadCursor
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise BadCursor from error
    if not isinstance(found, list) or not all(type(each) is int and 0 <= each <= MAX_OFFSET for each in found):
        raise BadCursor
    if found[:1] != [CURSOR_VERSION]:
        raise BadCursor
    if len(found) != partitions + 1:
        raise ForeignCursor
    return list(found[1:])
