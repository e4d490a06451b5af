"""Errors rendered once, as application/problem+json (RFC 9457)."""

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem
from fastapi_problem.handler import add_exception_handler, new_exception_handler
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette_problem.handler import ExceptionHandler

from kit.core.errors import AppError, InvalidFields, NotFound, Unavailable, cause_of, field_errors
from kit.observability import log
from kit.security import security_events

logger = log.get(__name__)


STATUS_SENTENCES = {
    400: ("bad_request", "请求内容无法识别"),
    401: ("unauthorized", "请先登录"),
    404: ("not_found", "没有找到，可能已被删除"),
    405: ("method_not_allowed", "不支持此操作"),
    413: ("body_too_large", "提交的内容过大"),
    415: ("unsupported_media_type", "不支持的内容类型"),
}


def _from_http(_handler: ExceptionHandler, _request: Request, error: Exception) -> Problem:
    return _http_problem(error)


def _http_problem(error: Exception) -> Problem:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code, detail = STATUS_SENTENCES.get(status, ("bad_request", "请求无法处理"))
    headers = error.headers if isinstance(error, HTTPException) else None
    return AppError(status, code, detail, headers=headers)


def _from_validation(_handler: ExceptionHandler, _request: Request, error: Exception) -> Problem:
    errors = error.errors() if isinstance(error, RequestValidationError | ValidationError) else []
    return InvalidFields(field_errors(errors))


def _from_anything(_handler: ExceptionHandler, _request: Request, error: Exception) -> Problem:
    return _any_problem(error)


def _any_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RecursionError | UnicodeDecodeError):  # what json.loads raises for hostile bodies
        return AppError(400, *STATUS_SENTENCES[400])
    logger.error("request failed", exc_info=error)
    return AppError(500, "internal_error", "系统出错，请稍后再试")


def as_problem(error: Exception) -> Problem:
    """The problem for any error of a request, for callers that render it themselves, as pages do."""
    if isinstance(error, HTTPException):
        return _http_problem(error)
    if isinstance(error, RequestValidationError):  # of a path parameter: the address does not exist
        return NotFound()
    return _any_problem(error)


def record_denial(problem: Exception) -> None:
    """Record the security event of an error that denies access."""
    if isinstance(problem, AppError) and problem.cause:
        security_events.deny(problem.cause, problem.status, problem.subject)


def _before_rendering(_request: Request, error: Exception) -> None:
    if isinstance(error, Unavailable) and error.__cause__:
        logger.warning("dependency unavailable", dependency=error.what, error=cause_of(error))
    record_denial(_http_problem(error) if isinstance(error, HTTPException) else error)


def response(error: AppError) -> Response:
    """The response to an error that is found before the app is reached."""
    return JSONResponse(error.marshal(), error.status, error.headers, "application/problem+json")


def install(app: FastAPI) -> None:
    """Render every error of `app` as problem+json; 5xx bodies disclose no internals."""
    handlers: dict[type[Exception], Callable[[ExceptionHandler, Request, Exception], Problem]] = {
        RequestValidationError: _from_validation,
        HTTPException: _from_http,
        Exception: _from_anything,
    }
    handler = new_exception_handler(
        handlers=handlers,
        pre_hooks=[_before_rendering],
        http_exception_handler=_from_http,
        request_validation_handler=_from_validation,
    )
    add_exception_handler(app, handler, generic_swagger_defaults=False)
    for hostile in (RecursionError, UnicodeDecodeError):
        app.add_exception_handler(hostile, handler)
