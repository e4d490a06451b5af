"""Clients that send or read very slowly do not block others, and are disconnected."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.portal.conftest import new_member as new_member
from tests.support.browsing import Browsing, hidden_of
from tests.support.gateway import gateway as own_gateway
from tests.support.people import EDUCATION
from tests.support.portal import NewMember
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

SECONDS = 12
"""For which the portal waits here; the gateway waits for headers so long too."""
SLOW_CLIENTS, PEOPLE = 200, 20
SIZE = 10 * 1024 * 1024 - 1024
SCAN = scan(96, seed=31)
BOUNDARY = b"b0undary"
FORM = b"Content-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n" % (BOUNDARY, SIZE)
FIELD = b'--%s\r\nContent-Disposition: form-data; name="csrf"\r\n\r\nmade-up\r\n' % BOUNDARY
FILE = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n' % BOUNDARY


@dataclass
class SlowClient:
    """Sends `head`, then a byte at intervals; `ended` has the response, once it is disconnected."""

    port: int
    head: bytes
    reads: bool = True
    answer: bytes = b""
    ended: bool = False

    async def attack(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self.head)
            if not self.reads:
                await asyncio.Event().wait()
            trickle = asyncio.create_task(self._trickle(writer))
            with suppress(OSError):
                self.answer = await reader.read(-1)
            self.ended = True
            trickle.cancel()
        finally:
            writer.transport.abort()

    async def _trickle(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(1)
            writer.write(b"x")


@dataclass
class Attack:
    """Slow clients of all kinds, in equal parts."""

    port: int
    clients: list[SlowClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        host = b"Host: 127.0.0.1:%d\r\n" % self.port
        post = b"POST /login HTTP/1.1\r\n" + host
        form = post + FORM + b"\r\n" + FIELD
        page = b"GET /static/style.css HTTP/1.1\r\n" + host + b"\r\n"
        kinds = [(post + b"X-", True), (form, True), (form + FILE + bytes(200_000), True), (page * 400, False)]
        self.clients = [SlowClient(self.port, *kinds[number % 4]) for number in range(SLOW_CLIENTS)]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for client in self.clients:
                group.create_task(client.attack())

    def answered(self, status: bytes) -> int:
        return sum(client.answer.startswith(b"HTTP/1.1 " + status) for client in self.clients)

    async def over(self) -> bool:
        return all(client.ended for client in self.clients if client.reads)


@asynccontextmanager
async def under_way(attack: Attack) -> AsyncIterator[None]:
    running = asyncio.create_task(attack.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def own_port(stack: RunningStack, processes: Processes, tmp_path: Path) -> AsyncIterator[int]:
    """The port of a gateway with a portal whose time-outs are shorter than the stack's."""
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    limits = {"HTTP__TIMEOUT_SECONDS": str(SECONDS), "HTTP__CONCURRENCY": "60"}
    async with processes.standby("portal-api", "slow", tmp_path / "portal.log", **limits) as portal:
        with ExitStack() as opened:
            waits, address = {"read_header 10s": f"read_header {SECONDS}s"}, portal.api.partition("//")[2]
            site = "http://127.0.0.1"
            apis = {"PORTAL": address, "INSIDE_CA": str(stack.ca)}
            yield opened.enter_context(own_gateway(site, certificates, tmp_path, waits, **apis))[0]


@dataclass
class Working:
    """A person who uses the portal: opens the log-in page, lists, uploads a scan, downloads."""

    browsing: Browsing
    record: str
    statuses: list[int] = field(default_factory=list)
    refusals: int = 0

    async def work(self) -> None:
        page = f"/records/{self.record}"
        await self.see(lambda: Browsing(self.browsing.http).get("/login"))
        await self.see(lambda: self.browsing.get("/file/education"))
        form = hidden_of((await self.see(lambda: self.browsing.get(page))).text, page) | EDUCATION
        form |= {"scan_title": "毕业证书"}
        file = {"file": ("scan.jpg", SCAN, "image/jpeg")}
        await self.see(lambda: self.browsing.ask("POST", f"{page}/attachment", data=form, files=file))
        await self.see(lambda: self.browsing.get("/account/download.json"))

    async def see(self, ask: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
        """Ask; once more, as the response says, if a service has more requests than it can answer in time."""
        answer = await ask()
        if answer.status_code == 503:
            self.refusals += 1
            await asyncio.sleep(int(answer.headers["retry-after"]))
            answer = await ask()
        self.statuses.append(answer.status_code)
        return answer


async def test_two_hundred_slow_clients_fail_no_other_request(own_port: int, new_member: NewMember) -> None:
    members = [await new_member() for _ in range(2)]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{own_port}", timeout=40) as http:
        people = [
            Working(Browsing(http, dict(member.browsing.cookies)), await member.add("education", EDUCATION))
            for member in members
            for _ in range(PEOPLE // len(members))
        ]
        attack = Attack(own_port)
        async with under_way(attack):
            await asyncio.sleep(1)
            await asyncio.gather(*(person.work() for person in people))
            await eventually(attack.over, 40, "every slow client is let go of")
    assert [person.statuses for person in people] == [[200, 200, 200, 303, 200]] * PEOPLE
    assert sum(person.refusals for person in people) <= 5 * PEOPLE / 10, "only a busy machine refuses, and few"
    nearly_all = 0.9 * SLOW_CLIENTS / 4  # on a busy machine some are cut off before they have sent their head
    assert attack.answered(b"403") >= nearly_all, "files that nobody may send are not read"
    assert attack.answered(b"408") >= nearly_all, "bodies that do not come are not waited for"


async def test_more_concurrent_requests_than_redis_connections_are_answered_or_refused(
    gateway: httpx2.AsyncClient,
) -> None:
    answers = await asyncio.gather(*(gateway.post("/api/identity/captchas") for _ in range(150)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert len(answers) - len(refused) >= 20
    assert all("retry-after" in answer.headers for answer in refused)
