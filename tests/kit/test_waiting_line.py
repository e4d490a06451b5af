"""The waiting line in Redis: places in order, kept, and reached at a pace that follows how busy the service is."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from kit.redis import Pace, RedisServer, WaitingLine
from tests.support.names import own_name
from tests.support.stack import RunningStack

PACE = Pace(start=10, least=2, most=50)


@pytest_asyncio.fixture
async def line(stack: RunningStack) -> AsyncIterator[WaitingLine]:
    async with RedisServer(stack.redis, own_name("tests")) as server:
        yield server.line("line", PACE, 60)


async def test_while_nobody_waits_people_enter_at_once(line: WaitingLine) -> None:
    for name in map(str, range(5)):
        assert (await line.look(name, busy=False)).ahead == 0


async def test_who_came_first_is_let_in_first(line: WaitingLine) -> None:
    names = [str(number) for number in range(60)]
    arrived = [(await line.look(name, busy=False)).ahead for name in names]
    assert arrived == sorted(arrived)
    assert arrived[0] == 0 < arrived[-1]
    while True:
        # they look in the opposite order: when somebody is let in, all who came before are, too
        found = [(await line.look(name, busy=False)).ahead > 0 for name in reversed(names)]
        assert found == sorted(found, reverse=True)
        if not any(found):
            break
        await asyncio.sleep(0.3)


async def test_a_place_is_kept_and_only_comes_nearer(line: WaitingLine) -> None:
    for name in map(str, range(40)):
        await line.look(name, busy=False)
    last = PACE.most
    for _ in range(10):
        ahead = (await line.look("39", busy=False)).ahead
        assert ahead <= last
        last = ahead
        await line.look(f"newcomer {ahead}", busy=False)
    assert (await line.look("newcomer", busy=False)).ahead > last


async def test_a_busy_service_lets_people_in_more_slowly(line: WaitingLine) -> None:
    for name in map(str, range(80)):
        await line.look(name, busy=True)
    before = await line.look("79", busy=True)
    for _ in range(6):
        await asyncio.sleep(0.5)
        after = await line.look("79", busy=True)
    assert after.ahead > before.ahead - PACE.start * 3
    assert after.seconds / after.ahead > before.seconds / before.ahead


async def test_who_has_left_starts_at_the_end_again(line: WaitingLine) -> None:
    for name in map(str, range(60)):
        await line.look(name, busy=False)
    await line.leave("0")
    assert (await line.look("0", busy=False)).ahead > (await line.look("50", busy=False)).ahead
