"""The adaptive limit of a process: it follows how long requests take, and refuses first what can wait."""

import asyncio
from dataclasses import dataclass, field

import pytest

from kit.http.admission import Admission, Priority, Request
from kit.settings import HttpSettings

TARGET = 0.5


@dataclass
class Server:
    """Handles `rate` requests a second, one after the other; more of them at once only wait longer."""

    rate: float
    now: float = 0
    open: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.admission = Admission(HttpSettings(target_seconds=TARGET), lambda: self.now)

    def arrive(self, priority: Priority = Priority.NORMAL) -> bool:
        if not self.admission.admits(priority):
            return False
        self.open.append(self.admission.enter())
        return True

    def serve(self, seconds: float, offered: float, priority: Priority = Priority.NORMAL) -> None:
        """`offered` requests a second arrive; one ends every 1/rate."""
        step = 1 / max(offered, self.rate)
        due, ready = self.now, self.now
        until = self.now + seconds
        while self.now < until:
            self.now += step
            while due <= self.now:
                self.arrive(priority)
                due += 1 / offered
            while ready <= self.now and self.open:
                self.open.pop(0).end()
                ready += 1 / self.rate
            ready = max(ready, self.now - step)


@pytest.mark.parametrize("rate", [50, 200, 600])
def test_under_overload_a_request_takes_as_long_as_the_target(rate: float) -> None:
    server = Server(rate)
    server.serve(20, offered=rate * 4)
    mean = len(server.open) / rate
    assert TARGET * 0.6 <= mean <= TARGET * 1.5


def test_a_process_that_becomes_slower_accepts_less_within_six_seconds() -> None:
    server = Server(600)
    server.serve(10, offered=1200)
    server.rate = 60
    server.serve(6, offered=1200)
    assert len(server.open) <= 60 * TARGET * 2


def test_what_is_not_used_is_left_as_it_is() -> None:
    server = Server(100)
    before = server.admission.limit
    server.serve(10, offered=20)
    assert server.admission.limit == before


def test_after_a_rush_the_limit_is_soon_the_old_one() -> None:
    server = Server(20)
    before = server.admission.limit
    server.serve(20, offered=200)
    assert server.admission.limit < before / 3
    server.rate = 200
    server.serve(3, offered=40)
    assert server.admission.limit == before


def test_after_a_quiet_time_the_limit_is_the_old_one() -> None:
    server = Server(20)
    before = server.admission.limit
    server.serve(20, offered=200)
    while server.open:
        server.open.pop().end()
    server.now += 10
    assert server.arrive()
    assert server.admission.limit == before


def test_a_limit_is_never_less_than_the_least() -> None:
    server = Server(2)
    server.serve(200, offered=20)
    assert server.admission.limit == HttpSettings().least_concurrency


def test_what_can_wait_is_refused_first_and_operators_last() -> None:
    server = Server(100)
    accepted = []
    for priority in (Priority.SHEDDABLE, Priority.NORMAL, Priority.OPERATOR):
        before = len(server.open)
        while server.arrive(priority):
            pass
        accepted.append(len(server.open) - before)
    assert all(accepted)
    assert not any(map(server.arrive, (Priority.SHEDDABLE, Priority.NORMAL)))


async def test_a_request_that_waits_for_its_client_takes_no_other_ones_place() -> None:
    server = Server(100)
    while server.arrive():
        pass
    waiting = asyncio.create_task(server.open[0].waited(asyncio.sleep(10)))
    await asyncio.sleep(0)
    assert server.arrive()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not server.arrive()
