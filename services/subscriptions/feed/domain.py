"""Cursors: a position in the topic as opaque text."""

import base64
import json
from collections.abc import Sequence

CURSOR_VERSION = 1
MAX_OFFSET = 2**63 - 1
MAX_CURSOR_LENGTH = 4_000


class BadCursor(ValueError):
    """Not a cursor of ours."""


class ForeignCursor(ValueError):
    """A cursor of ours, for a topic of another shape: it was made anew since."""


def write_cursor(offsets: Sequence[int]) -> str:
    """A place in the topic, as opaque text: the next offset of each partition."""
    text = json.dumps([CURSOR_VERSION, *offsets], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, partitions: int) -> list[int]:
    """What `write_cursor` wrote. Raises `BadCursor`, `ForeignCursor`."""
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
