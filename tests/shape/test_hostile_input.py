"""Hostile input to every endpoint is refused clearly: never a 5xx, nothing internal in the response."""

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from posixpath import normpath
from threading import Thread
from urllib.parse import unquote

import httpx2
import pytest
import pytest_asyncio

from kit.security.tokens import Caller, TokenIssuer
from tests.shape.hostile_input import (
    JSON,
    MARK,
    SERVICES,
    Attack,
    Endpoint,
    body_attacks,
    endpoints,
    header_attacks,
    path_attacks,
)
from tests.support.change_clients import WEBHOOKS
from tests.support.identity_clients import bearer
from tests.support.names import own_id
from tests.support.people import OWN
from tests.support.problems import not_found_page, problem, well_formed
from tests.support.stack import RunningStack

AT_ONCE = 16
STREAMED = {"upload_attachment", "correct_photo", "upload_signature", "start_import"}
"""They measure their bodies themselves while they arrive, with a refusal of their own: tests of these services."""
SCOPES = frozenset({"intake", "certificates:issue", "practitioners:lookup", "imports:write", "changes:read"})


@pytest.fixture(scope="module")
def all_permissions(issuer: TokenIssuer) -> dict[str, str]:
    """A caller with every permission: only the input can be the cause of a refusal."""
    roles = frozenset({"clerk", "admin", "operator"})
    return bearer(issuer.issue(Caller(own_id(), "practitioner", roles, SCOPES, session=own_id())))


def log_of(stack: RunningStack, service: str) -> Path:
    return stack.log(f"{service}-api")


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def no_webhooks_left(gateway: httpx2.AsyncClient, all_permissions: dict[str, str]) -> AsyncIterator[None]:
    """Removes webhooks that harmless attacks have registered, so that no events are delivered to them."""
    yield
    for state in ("active", "paused"):
        page = (await gateway.get(WEBHOOKS, headers=all_permissions, params={"state": state, "limit": 200})).json()
        for one in page["items"]:
            match = {"If-Match": f'"{one["version"]}"'}
            await gateway.delete(f"{WEBHOOKS}/{one['webhook_id']}", headers=all_permissions | match)


@pytest.fixture(scope="module", autouse=True)
def logged_before(stack: RunningStack) -> dict[str, int]:
    """The number of lines in each log before the attacks: other tests may cause errors."""
    return {service: len(log_of(stack, service).read_text(errors="replace").splitlines()) for service in SERVICES}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def all_endpoints(gateway: httpx2.AsyncClient) -> list[Endpoint]:
    found = await endpoints(gateway)
    assert len(found) >= 34
    return found


async def fire(gateway: httpx2.AsyncClient, headers: dict[str, str], attacks: Iterable[Attack]) -> Counter[int]:
    """Sends all attacks and checks every response. Returns the number of responses by status."""
    room, wrong, seen = asyncio.Semaphore(AT_ONCE), list[str](), Counter[int]()

    async def send(attack: Attack) -> None:
        async with room:
            response = await gateway.request(
                attack.endpoint.method, attack.path, content=attack.content, headers=encoded(headers | attack.headers)
            )
        seen[response.status_code] += 1
        try:
            judge(attack, response)
        except (AssertionError, ValueError) as error:
            wrong.append(f"{attack.endpoint.operation}, {attack.what}: {response.status_code} {error!s:.300}")

    await asyncio.gather(*(send(attack) for attack in attacks))
    assert not wrong, f"{len(wrong)} of {seen.total()}:\n" + "\n".join(wrong[:20])
    return seen


def encoded(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode("latin-1") for name, value in headers.items()}


def judge(attack: Attack, response: httpx2.Response) -> None:
    assert response.status_code < 500, response.text[:300]
    assert response.headers["X-Request-Id"]
    if attack.refused:
        assert response.status_code >= 400, response.text[:300]
    if response.status_code >= 400 and _left_the_apis(attack.path):
        not_found_page(response, MARK)
    elif response.status_code >= 400:
        well_formed(response, MARK)


def _left_the_apis(path: str) -> bool:
    """A path that leaves the APIs by `..` is the portal's."""
    return not normpath(unquote(path.partition("?")[0])).startswith("/api/")


async def test_no_invalid_body_is_accepted(
    gateway: httpx2.AsyncClient, all_endpoints: list[Endpoint], all_permissions: dict[str, str]
) -> None:
    attacks = [attack for endpoint in all_endpoints if endpoint.takes_body for attack in body_attacks(endpoint)]
    assert len(attacks) > 1_000
    headers = all_permissions | {"If-Match": '"1"'}
    seen = await fire(gateway, headers, attacks)
    assert seen.total() == len(attacks)


async def test_no_invalid_path_query_or_header_is_accepted(
    gateway: httpx2.AsyncClient, all_endpoints: list[Endpoint], all_permissions: dict[str, str]
) -> None:
    attacks = [
        attack for endpoint in all_endpoints for make in (path_attacks, header_attacks) for attack in make(endpoint)
    ]
    assert len(attacks) > 1_000
    await fire(gateway, all_permissions, [attack for attack in attacks if attack.endpoint.operation != "make_captcha"])


async def test_ten_megabytes_are_refused_everywhere(
    gateway: httpx2.AsyncClient, all_endpoints: list[Endpoint], all_permissions: dict[str, str]
) -> None:
    huge = json.dumps({"kind": MARK + "x" * 10_000_000}).encode()
    for endpoint in all_endpoints:
        if endpoint.takes_body and endpoint.operation not in STREAMED:
            headers = all_permissions | {"Content-Type": JSON, "If-Match": '"1"'}
            response = await gateway.request(endpoint.method, endpoint.filled(), content=huge, headers=headers)
            problem(response, 413, "body_too_large", MARK)


@pytest.mark.parametrize("megabytes", [2, 13, 60])
async def test_a_refused_body_is_never_parsed_as_a_request(
    gateway: httpx2.AsyncClient, all_permissions: dict[str, str], megabytes: int
) -> None:
    inside, following = of("/api/nobody"), of("/api/records/kinds", "Connection: close")
    inside *= megabytes * 1_000_000 // len(inside)
    headers = all_permissions | {"Content-Type": JSON, "Content-Length": str(len(inside))}
    for _ in range(5):
        request = gateway.build_request("POST", OWN, headers=headers)
        assert await asyncio.to_thread(statuses, request, inside + following) in ([413], [413, 200])


def of(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]).encode()


def statuses(request: httpx2.Request, rest: bytes) -> list[int]:
    """The statuses of all responses on one connection to a request's head and the bytes that follow it."""
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((request.url.host, request.url.port or 80), timeout=10) as connection:
        connection.sendall(f"{request.method} {request.url.path} HTTP/1.1\r\n{head}\r\n".encode())
        sending = Thread(target=sent, args=(connection, rest))
        sending.start()
        received = b"".join(iter(partial(received_from, connection), b""))
        sending.join()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)]


def sent(connection: socket.socket, content: bytes) -> None:
    with suppress(OSError):  # the server may have closed it
        connection.sendall(content)


def received_from(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


async def test_a_chunked_body_is_limited(gateway: httpx2.AsyncClient, all_permissions: dict[str, str]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    response = await gateway.post(OWN, content=pieces(), headers=all_permissions | {"Content-Type": JSON})
    problem(response, 413, "body_too_large")


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "OPTIONS", "DELETE", "HEAD"])
async def test_an_unknown_method_is_refused(gateway: httpx2.AsyncClient, method: str) -> None:
    response = await gateway.request(method, "/api/records/kinds")
    assert response.status_code == 405
    if method != "HEAD":
        problem(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/api/nobody/x",
        "/api/records",
        "/api/records/kinds/",
        "/api/identity/metrics",
    ],
)
async def test_an_unknown_path_is_not_found(gateway: httpx2.AsyncClient, path: str) -> None:
    problem(await gateway.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/api", "/metrics", "/readyz", "/healthz", "/api/records/../../etc/passwd"])
async def test_an_unknown_page_is_the_portals_not_found_page(gateway: httpx2.AsyncClient, path: str) -> None:
    not_found_page(await gateway.get(path))


@pytest.mark.parametrize("path", ["/", "//api/records/kinds", "//example.org/", "/\\example.org/"])
async def test_no_path_redirects_to_another_site(gateway: httpx2.AsyncClient, path: str) -> None:
    response = await gateway.get(path)
    assert response.status_code in (303, 404), response.text[:300]
    if response.status_code == 303:
        assert response.headers["Location"].startswith("/login"), response.headers


async def test_the_attacks_left_no_error_in_the_logs(stack: RunningStack, logged_before: dict[str, int]) -> None:
    for service, before in logged_before.items():
        lines = log_of(stack, service).read_text(errors="replace").splitlines()[before:]
        failed = [line[:500] for line in lines if '"request failed"' in line or "Traceback" in line]
        assert not failed, failed[:3]
        assert not [line for line in lines if MARK in line][:3]
