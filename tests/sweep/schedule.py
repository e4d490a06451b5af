"""The schedule of a sweep: a fault every ten seconds from one mix, and what each of them did to the writes."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from tests.support.stack import RunningStack
from tests.sweep.faults import Fault, Mix, draw, in_effect

EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Hit:
    """A fault that was provoked: its instance (empty if nothing had the role), and when, by the monotonic clock."""

    fault: Fault
    instance: str
    began: float
    ended: float


async def provoke(stack: RunningStack, mix: Mix, random: Random, seconds: float) -> list[Hit]:
    """Provoke faults of one mix, one at a time, for this long; each is undone before the next."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    hits: list[Hit] = []
    while (began := clock()) + EVERY_SECONDS <= end:
        if fault := draw(mix, random):
            hits.append(await _hit(stack, fault))
        await asyncio.sleep(max(0.0, began + EVERY_SECONDS - clock()))
    return hits


async def _hit(stack: RunningStack, fault: Fault) -> Hit:
    clock = asyncio.get_running_loop().time
    async with in_effect(stack, fault) as instance:
        began = clock()
        await asyncio.sleep(fault.seconds)
    return Hit(fault, instance.name if instance else "", began, clock())


def pause_of_writes(hit: Hit, acknowledged: Sequence[float]) -> float:
    """The longest time without an acknowledged write that began between this fault and the next one.

    `acknowledged`: the times of all acknowledged writes, in order.
    """
    return longest_pause(acknowledged, hit.began, hit.began + EVERY_SECONDS)


def longest_pause(acknowledged: Sequence[float], since: float, until: float) -> float:
    """The longest time between two acknowledged writes, of those that overlap the time from `since` to `until`."""
    first = max(0, bisect_left(acknowledged, since) - 1)
    last = bisect_right(acknowledged, until)
    return max((later - earlier for earlier, later in pairwise(acknowledged[first : last + 1])), default=0.0)
