"""Ended sessions: every process knows them at once, also one that starts later, and removes them in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from prometheus_client import REGISTRY

from kit.core.clock import ManualClock
from kit.core.errors import Unavailable
from kit.redis import RedisServer
from kit.security.ended_sessions import KEPT_SECONDS, UNKNOWN_REASON, EndedSessions
from kit.security.tokens import Ended
from kit.settings import RedisSettings
from tests.support.names import own_name
from tests.support.processes import free_port
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

SENTENCES = {"logged_out": "您已退出登录"}
OUT = Ended("logged_out", "您已退出登录")


@asynccontextmanager
async def following(stack: RunningStack, stream: str, clock: ManualClock | None = None) -> AsyncIterator[EndedSessions]:
    """The ended sessions as one process knows them."""
    async with AsyncExitStack() as opened:
        redis = await opened.enter_async_context(RedisServer(stack.redis, "tests"))
        ended = EndedSessions(redis, stream, SENTENCES, clock or ManualClock())
        task = asyncio.create_task(ended.follow())
        try:
            yield ended
        finally:
            task.cancel()
            await asyncio.wait([task])


async def known(ended: EndedSessions, session: str, within: float = 1) -> Ended:
    async def found() -> Ended | None:
        return ended.get(session)

    answer = await eventually(found, within, f"{session} is known to have ended", pause=0.005)
    assert answer
    return answer


async def test_every_process_knows_a_published_end_also_one_that_starts_later(stack: RunningStack) -> None:
    stream = own_name("ended")
    async with following(stack, stream) as teller, following(stack, stream) as other:
        await teller.publish("first", "logged_out")
        assert teller.get("first") == OUT
        assert await known(other, "first") == OUT
        assert other.get("second") is None
        await other.publish("second", "a reason of next year")
        assert await known(teller, "second") == Ended("a reason of next year", UNKNOWN_REASON)
    async with following(stack, stream) as late:
        assert await known(late, "first") == OUT
        assert await known(late, "second")


async def test_a_starting_process_reads_very_many(stack: RunningStack) -> None:
    stream = own_name("ended")
    async with following(stack, stream) as teller:
        for batch in range(25):
            await asyncio.gather(*(teller.publish(f"{batch}-{number}", "logged_out") for number in range(100)))
        async with following(stack, stream) as late:
            assert await known(late, "24-99", within=5) == OUT
            assert await known(late, "0-0") == OUT


async def test_an_ended_session_is_removed_when_all_its_tokens_have_expired(stack: RunningStack) -> None:
    stream, clock = own_name("ended"), ManualClock()
    async with following(stack, stream) as teller, following(stack, stream, clock) as ended:
        await teller.publish("old", "logged_out")
        assert await known(ended, "old") == OUT
        clock.advance(timedelta(seconds=KEPT_SECONDS - 1))
        await teller.publish("newer", "logged_out")
        assert await known(ended, "newer") == OUT
        assert ended.get("old") == OUT
        clock.advance(timedelta(seconds=2))

        async def forgotten() -> bool:
            return ended.get("old") is None

        await eventually(forgotten, 10, "the old one is forgotten")
        assert ended.get("newer") == OUT


async def test_without_redis_a_process_knows_its_own_ends_and_reports_that_it_reads_no_others() -> None:
    settings = RedisSettings.model_validate({"url": f"redis://127.0.0.1:{free_port()}/0"})
    async with RedisServer(settings, "tests") as redis:
        stream = own_name("ended")
        ended = EndedSessions(redis, stream, SENTENCES, ManualClock())
        with pytest.raises(Unavailable):
            await ended.publish("mine", "logged_out")
        assert ended.get("mine") == OUT
        reads = partial(REGISTRY.get_sample_value, "ended_sessions_reader_up", {"stream": stream})
        assert reads() is None, "a worker that only publishes would raise the alert"
        with pytest.raises(Unavailable):
            await ended.follow()
        assert reads() == 0
