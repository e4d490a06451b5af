"""Errors of the public API (RFC 9457)."""

import re
from typing import Any

import httpx2

CHINESE = re.compile(r"[\u4e00-\u9fff]")
INSIDE = ("Traceback", "site-packages", 'File "', "pymongo", "pydantic", "redis.exceptions")


def problem(response: httpx2.Response, status: int, code: str, *unsaid: str) -> dict[str, Any]:
    """Checks that the response is this well-formed error and repeats none of `unsaid`. Returns its body."""
    assert response.status_code == status, f"{response.status_code} for {status}: {response.text[:500]}"
    body = well_formed(response, *unsaid)
    assert body["code"] == code, body
    return body


def well_formed(response: httpx2.Response, *unsaid: str) -> dict[str, Any]:
    """Checks that the response is problem+json with Chinese sentences that reveal nothing. Returns its body."""
    assert response.headers["Content-Type"] == "application/problem+json", response.headers
    assert response.headers["X-Request-Id"], response.headers
    body = dict(response.json())
    assert body["status"] == response.status_code, body
    assert body["type"], body
    assert body["title"], body
    assert CHINESE.search(body["detail"]), body
    assert re.fullmatch(r"[a-z_]+", body["code"]), body
    for error in body.get("errors", ()):
        assert set(error) == {"field", "code", "message"}, error
        assert CHINESE.search(error["message"]), error
    for words in (*INSIDE, *filter(None, unsaid)):
        assert words not in response.text, f"{words!r} is told: {response.text[:500]}"
    return body


WAIT = re.compile(r"，请在 (?:(\d+) 小时 ?)?(?:(\d+) 分钟)?(?:(\d+) 秒)?后再试$")


def retry_after_seconds(response: httpx2.Response, *unsaid: str) -> int:
    """The seconds that a 429 asks to wait; its sentence has the time in words, at most a minute more."""
    detail = problem(response, 429, "too_many_requests", *unsaid)["detail"]
    seconds, words = int(response.headers["Retry-After"]), WAIT.search(detail)
    assert words, detail
    hours, minutes, rest = (int(each or 0) for each in words.groups())
    said = hours * 3600 + minutes * 60 + rest
    assert 0 <= said - seconds < 60, f"{seconds}: {detail}"
    assert (seconds < 60) == (words[3] is not None), f"{seconds}: {detail}"
    return seconds


def not_found_page(response: httpx2.Response, *unsaid: str) -> None:
    """Checks for the portal's page for unknown paths: outside the APIs, paths are pages."""
    assert response.status_code == 404, f"{response.status_code}: {response.text[:500]}"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8", response.headers
    assert "default-src 'none'" in response.headers["Content-Security-Policy"], response.headers
    assert CHINESE.search(response.text), response.text[:500]
    for words in (*INSIDE, *filter(None, unsaid)):
        assert words not in response.text, f"{words!r} is told: {response.text[:500]}"


def fields_of(body: dict[str, Any]) -> dict[str, str]:
    """The code by invalid field."""
    return {error["field"]: error["code"] for error in body["errors"]}
