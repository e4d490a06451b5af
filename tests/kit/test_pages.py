"""Pages: values in templates are escaped, every error is a page, every response has the security headers."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from fastapi import APIRouter
from fastapi_problem.error import Problem
from jinja2 import UndefinedError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from kit.core.errors import NotFound
from kit.http.pages import PAGE_HEADERS, StaticFiles, Templates, create_app
from kit.settings import ProcessSettings, RedisSettings

router = APIRouter()


@router.get("/fine")
async def fine() -> Response:
    return HTMLResponse("fine")


@router.get("/broken")
async def broken() -> Response:
    raise ValueError("a secret")


@router.get("/numbered/{number}")
async def numbered(number: int) -> Response:
    return HTMLResponse(str(number))


async def render_error(_request: Request, problem: Problem) -> Response:
    return HTMLResponse(f"<h1>{problem.status}: {problem.detail}</h1>", problem.status)


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[httpx2.AsyncClient]:
    settings = ProcessSettings(environment="local", redis=RedisSettings(url="redis://none"))
    app = create_app("test", settings, [router], None, render_error, "<h1>too many</h1>")
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://own") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/fine", 200, "fine"),
        ("/nothing", 404, "没有找到"),
        ("/numbered/one", 404, "没有找到"),
        ("/broken", 500, "系统出错"),
    ],
)
async def test_every_answer_is_a_page_with_the_headers(
    browser: httpx2.AsyncClient, path: str, status: int, text: str
) -> None:
    answer = await browser.get(path)
    assert answer.status_code == status
    assert text in answer.text
    assert "secret" not in answer.text
    assert PAGE_HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()


def test_a_template_escapes_values_and_a_missing_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "one.html").write_text("<p>{{ typed }} {{ shout('x') }}</p>")
    templates = Templates(tmp_path, {"shout": str.upper}, {})
    assert templates.render("one.html", {"typed": "<b>{{ 7 * 7 }}"}) == "<p>&lt;b&gt;{{ 7 * 7 }} X</p>"
    with pytest.raises(UndefinedError):
        templates.render("one.html", {})


def test_a_files_address_changes_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "look.css").write_text("a {}")
    old = StaticFiles(tmp_path, "/static")
    address = old.address("look.css")
    (tmp_path / "look.css").write_text("b {}")
    new = StaticFiles(tmp_path, "/static")
    assert new.address("look.css") != address
    assert "immutable" in old.answer("look.css", address.rpartition("=")[2]).headers["cache-control"]
    assert new.answer("look.css", address.rpartition("=")[2]).headers["cache-control"] == "no-cache"
    with pytest.raises(NotFound):
        new.answer("../look.css", "")
