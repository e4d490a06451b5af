"""A document's version in HTTP: entity tags, and writes that name the version they change."""

import re
from typing import Annotated

from fastapi import Depends, Header

from kit.core.errors import AppError


def etag(version: int) -> str:
    """A document's version as an entity tag (RFC 9110 §8.8.3)."""
    return f'"{version}"'


def expected_version(if_match: Annotated[str | None, Header()] = None) -> int:
    """The version in `If-Match`. Raises 428 without the header, 400 when it isn't one of our entity tags."""
    if if_match is None:
        raise AppError(428, "precondition_required", "请先读取最新内容再修改（缺少 If-Match）")
    match = re.fullmatch(r'"(\d{1,9})"', if_match.strip())
    if match is None:
        raise AppError(400, "if_match_invalid", "If-Match 的格式不正确")
    return int(match[1])


ExpectedVersion = Annotated[int, Depends(expected_version)]
