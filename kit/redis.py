"""Redis: the only importer of its client. Short-lived values and rate limits; all of it may be lost."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import ceil
from typing import Any, Self, TypeVar, cast

import limits
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from kit.core.errors import TooManyRequests, Unavailable, is_ending
from kit.runtime import tls
from kit.settings import RedisSettings

T = TypeVar("T")
POOL_SECONDS = 2.0
"""How long a call waits for a connection while all are in use."""


@dataclass(frozen=True)
class Rule:
    """At most `amount` in each window of `seconds`; `moving`: in any such window, wherever it begins."""

    amount: int
    seconds: int
    moving: bool = False

    @property
    def item(self) -> limits.RateLimitItem:
        """The rule as the limits library expects it."""
        return limits.RateLimitItemPerSecond(self.amount, self.seconds)


class Cache:
    """Values with a lifetime, under keys that begin with the service's name. Raises `Unavailable` if Redis is."""

    def __init__(self, redis: Redis, service: str) -> None:
        self._redis, self._service = redis, service

    async def put(self, key: str, value: str, seconds: int) -> None:
        """Keep `value` for `seconds`."""
        await _guarded(self._redis.set(self._key(key), value, ex=seconds))

    async def claim(self, key: str, value: str, seconds: int) -> bool:
        """Keep `value` unless there is one already; of concurrent claims one succeeds."""
        return bool(await _guarded(self._redis.set(self._key(key), value, ex=seconds, nx=True)))

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        value = await _guarded(self._redis.get(self._key(key)))
        return None if value is None else str(value)

    async def take(self, key: str) -> str | None:
        """Return and remove the value: of concurrent calls one gets it."""
        value = await _guarded(self._redis.getdel(self._key(key)))
        return None if value is None else str(value)

    async def swap(self, key: str, old: str, new: str, seconds: int) -> bool:
        """Replace `old` by `new`; False if the value is no longer `old`. Of concurrent swaps one succeeds."""
        script = (
            "if redis.call('GET',KEYS[1])==ARGV[1] then redis.call('SET',KEYS[1],ARGV[2],'EX',ARGV[3]) return 1 end"
        )
        swapped = self._redis.eval(script, 1, self._key(key), old, new, str(seconds))
        return bool(await _guarded(_awaitable(swapped)))

    async def drop(self, *keys: str) -> None:
        """Remove the values."""
        await _guarded(self._redis.delete(*map(self._key, keys)))

    async def ping(self) -> None:
        """A readiness check."""
        await _guarded(_awaitable(self._redis.ping()))

    def _key(self, key: str) -> str:
        return f"{self._service}:{key}"


class Stream:
    """A stream whose entries every reader gets, kept for `seconds` by the server's clock."""

    WAIT_SECONDS = 2.0
    BATCH = 1_000
    APPEND = (
        "local now = redis.call('TIME') "
        "local oldest = string.format('%.0f', (now[1] - ARGV[1]) * 1000) "
        "redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', unpack(ARGV, 2)) "
        "return redis.call('EXPIRE', KEYS[1], ARGV[1])"
    )

    def __init__(self, redis: Redis, following: Redis, key: str, seconds: int) -> None:
        self._redis = redis
        self._following = following
        self._key = key
        self._seconds = seconds

    async def append(self, fields: Mapping[str, str]) -> None:
        """Add an entry. Raises `Unavailable`."""
        pairs = [text for pair in fields.items() for text in pair]
        appended = self._redis.eval(self.APPEND, 1, self._key, str(self._seconds), *pairs)
        await _guarded(_awaitable(appended))

    async def batches(self) -> AsyncIterator[list[dict[str, str]]]:
        """All kept entries, then each batch of new ones; an empty batch after a wait. Raises `Unavailable`."""
        position, wait = "0", round(self.WAIT_SECONDS * 1000)
        while not is_ending():
            read = self._following.xread({self._key: position}, count=self.BATCH, block=wait)
            answer = cast("list[tuple[str, list[tuple[str, dict[str, str]]]]]", await _guarded(read))
            entries = answer[0][1] if answer else []
            position = entries[-1][0] if entries else position
            yield [fields for _, fields in entries]
        raise asyncio.CancelledError  # the client swallowed it (asyncio.wait_for before Python 3.12)


@dataclass(frozen=True)
class Pace:
    """How fast a line may move, in people a second: at the start, at least, at most."""

    start: float = 20
    least: float = 1
    most: float = 200


@dataclass(frozen=True)
class Place:
    """A place in a line: people ahead (0: may enter), and the expected seconds until it is reached.

    `waiting`: people in the whole line; `pace`: how many of them enter in a second.
    """

    ahead: int
    seconds: int
    waiting: int
    pace: float


class WaitingLine:
    """Numbered places that are reached in order, at a pace that follows how busy those are who serve the line.

    Once a second the pace is judged by the look of that moment: by 30 % slower if the service is busy, else by 10 %
    faster, up to `most` while people wait, and back to `start` when nobody does. While nobody waits, one second's worth
    of people may enter at once. A place is kept under the name of who has it, and lost `seconds` after its last look,
    whether it was reached or not.
    """

    LOOK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local line = redis.call('HMGET', KEYS[1], 'last', 'reached', 'pace', 'moved', 'judged')
local last, pace = tonumber(line[1]) or 0, tonumber(line[3]) or tonumber(ARGV[3])
local moved, judged = tonumber(line[4]) or now - 1, tonumber(line[5]) or now
local reached = math.min((tonumber(line[2]) or 0) + pace * (now - moved), last + math.max(1, pace))
local place = tonumber(redis.call('GET', KEYS[2]))
if place and place <= last then
  redis.call('EXPIRE', KEYS[2], ARGV[2])
else
  last = last + 1
  place = last
  redis.call('SET', KEYS[2], place, 'EX', ARGV[2])
end
if now - judged >= 1 then
  if ARGV[1] == '1' then
    pace = math.max(ARGV[4], pace * 0.7)
  else
    local wanted = last > reached and ARGV[5] or ARGV[3]
    pace = math.max(pace, math.min(wanted, pace * 1.1 ^ math.min(now - judged, 10) + 0.5))
  end
  judged = now
end
local function text(number) return string.format('%.6f', number) end
redis.call('HSET', KEYS[1], 'last', last, 'reached', text(reached), 'pace', text(pace), 'moved', text(now),
  'judged', text(judged))
redis.call('EXPIRE', KEYS[1], 86400)
local ahead = math.max(0, place - reached)
return {math.ceil(ahead), math.ceil(ahead / pace), math.max(0, math.ceil(last - reached)), text(pace)}
"""

    def __init__(self, redis: Redis, key: str, pace: Pace, seconds: int) -> None:
        self._redis = redis
        self._key = key
        self._pace = pace
        self._seconds = seconds

    async def look(self, name: str, busy: bool) -> Place:
        """The place of `name`, at the end of the line if it has none. `busy`: slower from now on.

        Raises `Unavailable`.
        """
        pace = self._pace
        arguments = (str(int(busy)), str(self._seconds), str(pace.start), str(pace.least), str(pace.most))
        looked = self._redis.eval(self.LOOK, 2, self._key, self._place_key(name), *arguments)
        ahead, seconds, waiting, now = cast("list[int | str]", await _guarded(_awaitable(looked)))
        return Place(int(ahead), int(seconds), int(waiting), float(now))

    async def leave(self, name: str) -> None:
        """Give the place up. Raises `Unavailable`."""
        await _guarded(self._redis.delete(self._place_key(name)))

    def _place_key(self, name: str) -> str:
        return f"{self._key}:{name}"


class RateLimits:
    """Counts hits in Redis; fails closed: raises `Unavailable` if Redis is."""

    def __init__(self, storage: RedisStorage, service: str) -> None:
        self._fixed, self._moving = FixedWindowRateLimiter(storage), MovingWindowRateLimiter(storage)
        self._service = service

    async def hit(self, rules: Sequence[Rule], *key: str, sentence: str, cost: int = 1) -> None:
        """Count `cost` hits on every rule in order. Raises 429 if one is full, with the time until none is.

        The first part of `key` is the limit's name.
        """
        for rule in rules:
            if not await self._counted(rule, key, cost):
                raise TooManyRequests(max(1, await self._wait(rules, key, cost)), sentence, key[0])

    async def check(self, rules: Sequence[Rule], *key: str, sentence: str, cost: int = 1) -> None:
        """Raises 429 if `cost` more hits would exceed a rule; counts nothing."""
        if wait := await self._wait(rules, key, cost):
            raise TooManyRequests(wait, sentence, key[0])

    async def fits(self, rules: Sequence[Rule], *key: str, cost: int = 1) -> bool:
        """Whether `cost` more hits would be within every rule; counts nothing."""
        return await self._wait(rules, key, cost) == 0

    async def _wait(self, rules: Sequence[Rule], key: Sequence[str], cost: int) -> int:
        """The seconds until `cost` more hits would be within every rule."""
        full = [rule for rule in rules if not await self._room(rule, key, cost)]
        return max([await self._reset(rule, key) for rule in full], default=0)

    async def _room(self, rule: Rule, key: Sequence[str], cost: int) -> bool:
        return await _guarded(self._limiter(rule).test(rule.item, self._service, *key, cost=cost))

    async def _counted(self, rule: Rule, key: Sequence[str], cost: int) -> bool:
        return await _guarded(self._limiter(rule).hit(rule.item, self._service, *key, cost=cost))

    def _limiter(self, rule: Rule) -> RateLimiter:
        return self._moving if rule.moving else self._fixed

    async def _reset(self, rule: Rule, key: Sequence[str]) -> int:
        window = await _guarded(self._limiter(rule).get_window_stats(rule.item, self._service, *key))
        return max(1, ceil(window.reset_time - time.time()))


def _awaitable(call: object) -> Awaitable[object]:
    """Some of the client's calls are typed as synchronous or asynchronous."""
    return cast(Awaitable[object], call)


async def _guarded(call: Awaitable[T]) -> T:
    try:
        return await call
    except (RedisError, StorageError, OSError, TimeoutError) as error:
        raise Unavailable("Redis") from error


class _Connection(SSLConnection):
    """Uses the context of its pool: the client would make one for each connection, with the system's authorities."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


class RedisServer:
    """`async with RedisServer(settings, "identity") as server: server.cache, server.limits`."""

    def __init__(self, settings: RedisSettings, service: str) -> None:
        self._url = settings.url.get_secret_value()
        self._timeout, self._connections = settings.timeout_seconds, settings.connections
        self._context = tls.client_context(settings.ca) if settings.ca else None
        self._service = service
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connects lazily: opening never fails."""
        self._redis = Redis(connection_pool=self._pool(decode_responses=True))
        pool: Any = self._pool()  # limits accepts it, unlike its signature
        storage = RedisStorage(
            f"async+{self._url}", wrap_exceptions=True, implementation="redispy", connection_pool=pool,
            key_prefix=self._service,
        )  # fmt: skip
        self.cache, self.limits = Cache(self._redis, self._service), RateLimits(storage, self._service)
        return self

    def stream(self, key: str, seconds: int) -> Stream:
        """A stream that services share, under the full `key`; its reader has its own connection."""
        following = Redis(connection_pool=self._pool(Stream.WAIT_SECONDS, decode_responses=True))
        return Stream(self._redis, following, key, seconds)

    def line(self, name: str, pace: Pace, seconds: int) -> WaitingLine:
        """The service's waiting line of this name, one for all its processes."""
        return WaitingLine(self._redis, f"{self._service}:{name}", pace, seconds)

    def _pool(self, waits: float = 0, **options: bool) -> BlockingConnectionPool:
        """A pool whose calls reconnect once, for example after a restart of Redis, before they raise `Unavailable`.

        While all connections are in use a call waits for one.
        """
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._connections,
            timeout=POOL_SECONDS,
            retry=Retry(NoBackoff(), 1),
            socket_timeout=self._timeout + waits,
            socket_connect_timeout=self._timeout,
            **options,
        )
        if self._context:
            pool.connection_class = _Connection
            pool.connection_kwargs["context"] = self._context
        self._stack.push_async_callback(pool.aclose)
        return pool

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._stack.aclose()
