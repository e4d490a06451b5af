"""Whatever is sent to any endpoint, the answer is a clear refusal: never 5xx, never a word of the inside."""

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
STREAMED = {"upload_attachment", "upload_signature", "start_import"}
"""They measure their bodies themselves while they arrive, with a refusal of their own: tests of these services."""
SCOPES = frozenset({"intake", "certificates:issue", "practitioners:lookup", "imports:write", "changes:read"})


@pytest.fixture(scope="module")
def almighty(issuer: TokenIssuer) -> dict[str, str]:
    """A caller whom no authorisation stops: the input has to be refused for itself."""
    roles = frozenset({"clerk", "admin", "operator"})
    return bearer(issuer.issue(Caller(own_id(), "practitioner", roles, SCOPES, session=own_id())))


def log_of(stack: RunningStack, service: str) -> Path:
    return stack.log(f"{service}-api")


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def no_webhooks_left(gateway: httpx2.AsyncClient, almighty: dict[str, str]) -> AsyncIterator[None]:
    """Attacks that are none may register some: nobody's events go there for the rest of the tests."""
    yield
    for state in ("active", "paused"):
        page = (await gateway.get(WEBHOOKS, headers=almighty, params={"state": state, "limit": 200})).json()
        for one in page["items"]:
            match = {"If-Match": f'"{one["version"]}"'}
            await gateway.delete(f"{WEBHOOKS}/{one['webhook_id']}", headers=almighty | match)


@pytest.fixture(scope="module", autouse=True)
def logged_before(stack: RunningStack) -> dict[str, int]:
    """How many lines each service had logged before the attacks: other tests may provoke errors."""
    return {service: len(log_of(stack, service).read_text(errors="replace").splitlines()) for service in SERVICES}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doors(gateway: httpx2.AsyncClient) -> list[Endpoint]:
    found = await endpoints(gateway)
    assert len(found) >= 34
    return found


async def fire(gateway: httpx2.AsyncClient, headers: dict[str, str], attacks: Iterable[Attack]) -> Counter[int]:
    """Send them all; every answer must be of the right shape. Returns how many had which status."""
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
    """A path that climbs out of the APIs is the portal's."""
    return not normpath(unquote(path.partition("?")[0])).startswith("/api/")


async def test_no_body_gets_through_that_should_not(
    gateway: httpx2.AsyncClient, doors: list[Endpoint], almighty: dict[str, str]
) -> None:
    attacks = [attack for door in doors if door.takes_body for attack in body_attacks(door)]
    assert len(attacks) > 1_000
    headers = almighty | {"If-Match": '"1"'}
    seen = await fire(gateway, headers, attacks)
    assert seen.total() == len(attacks)


async def test_no_odd_path_query_or_header_gets_through(
    gateway: httpx2.AsyncClient, doors: list[Endpoint], almighty: dict[str, str]
) -> None:
    attacks = [attack for door in doors for make in (path_attacks, header_attacks) for attack in make(door)]
    assert len(attacks) > 1_000
    await fire(gateway, almighty, [attack for attack in attacks if attack.endpoint.operation != "make_captcha"])


async def test_ten_megabytes_are_refused_everywhere(
    gateway: httpx2.AsyncClient, doors: list[Endpoint], almighty: dict[str, str]
) -> None:
    huge = json.dumps({"kind": MARK + "x" * 10_000_000}).encode()
    for door in doors:
        if door.takes_body and door.operation not in STREAMED:
            headers = almighty | {"Content-Type": JSON, "If-Match": '"1"'}
            response = await gateway.request(door.method, door.filled(), content=huge, headers=headers)
            problem(response, 413, "body_too_large", MARK)


@pytest.mark.parametrize("megabytes", [2, 13, 60])
async def test_nothing_inside_a_body_that_is_refused_is_taken_for_a_request(
    gateway: httpx2.AsyncClient, almighty: dict[str, str], megabytes: int
) -> None:
    inside, behind = of("/api/nobody"), of("/api/records/kinds", "Connection: close")
    inside *= megabytes * 1_000_000 // len(inside)
    headers = almighty | {"Content-Type": JSON, "Content-Length": str(len(inside))}
    for _ in range(5):
        request = gateway.build_request("POST", OWN, headers=headers)
        assert await asyncio.to_thread(statuses, request, inside + behind) in ([413], [413, 200])


def of(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]).encode()


def statuses(request: httpx2.Request, rest: bytes) -> list[int]:
    """Of all answers on one connection to a request's head and to what is sent behind it."""
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((request.url.host, request.url.port or 80), timeout=10) as connection:
        connection.sendall(f"{request.method} {request.url.path} HTTP/1.1\r\n{head}\r\n".encode())
        sending = Thread(target=sent, args=(connection, rest))
        sending.start()
        received = b"".join(iter(partial(received_from, connection), b""))
        sending.join()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)]


def sent(connection: socket.socket, content: bytes) -> None:
    with suppress(OSError):  # it may be closed meanwhile
        connection.sendall(content)


def received_from(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


async def test_a_body_that_comes_in_pieces_is_measured_too(
    gateway: httpx2.AsyncClient, almighty: dict[str, str]
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    response = await gateway.post(OWN, content=pieces(), headers=almighty | {"Content-Type": JSON})
    problem(response, 413, "body_too_large")


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "OPTIONS", "DELETE", "HEAD"])
async def test_a_method_that_no_call_has_is_refused(gateway: httpx2.AsyncClient, method: str) -> None:
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
async def test_what_is_not_there_is_not_found(gateway: httpx2.AsyncClient, path: str) -> None:
    problem(await gateway.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/api", "/metrics", "/readyz", "/healthz", "/api/records/../../etc/passwd"])
async def test_where_there_is_no_page_the_portal_says_so(gateway: httpx2.AsyncClient, path: str) -> None:
    not_found_page(await gateway.get(path))


@pytest.mark.parametrize("path", ["/", "//api/records/kinds", "//example.org/", "/\\example.org/"])
async def test_whatever_else_is_asked_for_nobody_is_sent_elsewhere(gateway: httpx2.AsyncClient, path: str) -> None:
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
