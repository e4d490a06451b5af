"""Errors with a meaning: raised anywhere, rendered by the HTTP layer (kit.http.errors)."""

import asyncio
import random
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import islice
from math import ceil

from fastapi_problem.error import Problem
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kit.core.text import REQUIRED

RETRY_AFTER_SECONDS = (1, 5)


class FieldError(BaseModel):
    """What is wrong with one field: `field` is a path like `data.school`, `message` a Chinese sentence."""

    field: str
    code: str
    message: str


class AppError(Problem):
    """A refusal with a stable English `code` and a Chinese sentence for the page."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extras: object
    ) -> None:
        super().__init__(
            HTTPStatus(status).phrase,
            type_=code,
            detail=detail,
            status=status,
            headers=dict(headers or {}),
            code=code,
            **extras,
        )

    @property
    def code(self) -> str:
        """The stable English name of the error."""
        return self.type

    subject = ""
    """Whom a denial concerns, if only the code that raises it knows."""

    @property
    def cause(self) -> str:
        """Why access was denied, for the security event; empty when it was not, or another process records it."""
        return self.code if self.status in (401, 403) else ""


class NotFound(AppError):
    """Unknown or deleted."""

    def __init__(self, code: str = "not_found", detail: str = "没有找到，可能已被删除") -> None:
        super().__init__(404, code, detail)


class NotYours(NotFound):
    """The object is another person's: a denial, answered like `NotFound`."""

    cause = "foreign_object"


class Hidden(NotFound):
    """Not for the caller's kind, roles or scopes, who must not learn that it exists: answered as `NotFound` too."""

    cause = "forbidden"


def is_ending() -> bool:
    """Whether the current task is being cancelled; if not, a `CancelledError` in it comes from a library's own task."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


class Unavailable(AppError):
    """A transient error: a dependency is unavailable. Worth retrying, but not by all at the same moment."""

    def __init__(self, what: str) -> None:
        seconds = random.randint(*RETRY_AFTER_SECONDS)  # noqa: S311  # spreads retries, protects nothing
        super().__init__(503, "unavailable", "系统繁忙，请稍后再试", headers={"Retry-After": str(seconds)})
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} is unavailable"

    def __repr__(self) -> str:
        return f"Unavailable({self.what})"


def cause_of(error: BaseException) -> str:
    """Type and text of the first error of those that led to this one."""
    root = _root(error)
    return f"{type(root).__name__}: {root}"


def network_error(error: BaseException) -> str:
    """The text of the network error behind it, as of a bad certificate; otherwise its type: texts may name people."""
    root = _root(error)
    return str(root) if isinstance(root, OSError) and str(root) else type(error).__name__


def _root(error: BaseException) -> BaseException:
    while isinstance(earlier := error.__cause__ or error.__context__, Exception):  # also a suppressed one: httpcore's
        error = earlier
    return error


class Overloaded(Unavailable):
    """The process has reached its limit: another one, or the same one later, accepts the request."""

    def __init__(self) -> None:
        super().__init__("capacity of this process")

    def __str__(self) -> str:
        return "this process is overloaded"


class NoAnswerInTime(Unavailable):
    """The request took too long; it may have had its effect or not."""

    def __init__(self) -> None:
        super().__init__("a response in time")


class RequestTimeout(AppError):
    """The body did not arrive in time: the connection is closed after this response."""

    def __init__(self) -> None:
        super().__init__(
            408, "request_timeout", "提交的内容没有及时传完，请检查网络后再试", headers={"Connection": "close"}
        )


class TooManyRequests(AppError):
    """A limit was reached. `retry_after` (seconds) is appended to `sentence` in words, and is the header Retry-After.

    `limit`: the name of a limit against guessing, for the security event.
    """

    cause = ""

    def __init__(self, retry_after: int, sentence: str, limit: str = "") -> None:
        self.cause = limit and f"limit_{limit}"
        detail = f"{sentence}，请在 {in_words(retry_after)}后再试"
        super().__init__(429, "too_many_requests", detail, headers={"Retry-After": str(retry_after)})


def in_words(seconds: int) -> str:
    """Seconds below a minute, else hours and minutes, rounded up, so that a retry then is not too early."""
    if seconds < 60:
        return f"{seconds} 秒"
    hours, minutes = divmod(ceil(seconds / 60), 60)
    return " ".join(f"{amount} {unit}" for amount, unit in ((hours, "小时"), (minutes, "分钟")) if amount)


class BodyTooLarge(AppError):
    """The body is larger than any call accepts."""

    def __init__(self) -> None:
        super().__init__(413, "body_too_large", "提交的内容过大")


class InvalidFields(AppError):
    """422 with one entry per field."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(
            422, "invalid_fields", "填写的内容有误，请按提示修改", errors=[error.model_dump() for error in errors]
        )
        self.fields = errors

    @classmethod
    def one(cls, field: str, code: str, message: str) -> "InvalidFields":
        """For a rule that concerns one field."""
        return cls([FieldError(field=field, code=code, message=message)])

    @classmethod
    def of(cls, error: ValidationError, prefix: str = "") -> "InvalidFields":
        """From pydantic's own error; nothing of the input is repeated."""
        return cls(field_errors(error.errors(include_url=False), prefix))


class TooManyDeadLetters(Exception):
    """The consumer stopped: a bad deployment must not drain a topic into the dead letters."""


class Reject(Exception):
    """A permanent error: the event cannot be processed, and is dead-lettered without a retry."""


# pydantic's error type → (our code, Chinese sentence); the sentence may name the limit
SENTENCES: dict[str, tuple[str, str]] = {
    "missing": ("required", REQUIRED),
    "extra_forbidden": ("unknown_field", "不支持的字段"),
    "string_too_long": ("too_long", "最多{max_length}个字"),
    "string_too_short": ("required", REQUIRED),
    "too_long": ("too_long", "最多{max_length}项"),
    "string_unicode": ("character_not_allowed", "含有不能使用的字符，请删除后重新输入"),
    "json_invalid": ("json_invalid", "请求内容不是有效的 JSON"),
    "literal_error": ("not_a_choice", "请选择列表中的值"),
    "enum": ("not_a_choice", "请选择列表中的值"),
    "date_from_datetime_parsing": ("date_invalid", "请填写正确的日期，例如 2014-03-01"),
    "date_parsing": ("date_invalid", "请填写正确的日期，例如 2014-03-01"),
    "date_type": ("date_invalid", "请填写正确的日期，例如 2014-03-01"),
    "greater_than_equal": ("out_of_range", "不能小于{ge}"),
    "less_than_equal": ("out_of_range", "不能大于{le}"),
}
PLACES = ("body", "query", "path", "header")
MAX_FIELD_ERRORS = 50
OUR_NAMES = re.compile(r"[a-z][a-z_-]{0,39}|[0-9]{1,4}")


def field_errors(errors: Iterable[ErrorDetails], prefix: str = "") -> list[FieldError]:
    """Translate pydantic's errors; ours (`PydanticCustomError`) carry code and sentence already."""
    return [_field_error(error, prefix) for error in islice(errors, MAX_FIELD_ERRORS)]


def _field_error(error: ErrorDetails, prefix: str) -> FieldError:
    place = [str(part) for part in error["loc"]]
    path = [prefix, *(place[1:] if place and place[0] in PLACES else place)]
    path = [part for part in path if OUR_NAMES.fullmatch(part)]  # an unknown field's name is input: not repeated
    ours = any("\u4e00" <= letter <= "\u9fff" for letter in error["msg"])
    code, sentence = (error["type"], error["msg"]) if ours else SENTENCES.get(error["type"], ("invalid", "格式不正确"))
    if not ours and error.get("input") in ("", None):  # missing, whichever of its rules it breaks first
        sentence = REQUIRED
    message = sentence if ours else sentence.format_map(error.get("ctx", {}))
    return FieldError(field=".".join(path), code=code, message=message)
