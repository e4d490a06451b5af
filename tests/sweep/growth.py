"""`python -m tests.sweep.growth`: a consumer group with one, two and three members in a cluster, under load.

Prints each member's share of the work, how late events are handled, and how late they get when members come and go.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Annotated

import typer

from deploy.local.environment import partitions
from kit.core.errors import Unavailable
from kit.core.events import Event
from kit.messaging.consumer import Consumer
from kit.settings import KafkaSettings
from tests.support.names import own_name
from tests.support.people import Person
from tests.support.stack import RunningStack
from tests.support.topics import own_topics
from tests.sweep.history import History
from tests.sweep.load import TOPIC, TYPE, SweepLoad, sweep_load

PHASE_SECONDS = 20.0
CHANGE_SECONDS = 15.0
SESSION_MS = 6_000
"""As the processes of the cluster have it: members have fixed names, so one that leaves keeps its share as long."""
HOT_SECONDS = 10.0


@dataclass
class Group:
    """A group whose members count what they handle: `handled` has member, person, record, version and time."""

    name: str
    settings: KafkaSettings
    handled: list[tuple[str, str, str, int, float]] = field(default_factory=list)

    @asynccontextmanager
    async def member(self, name: str) -> AsyncIterator[None]:
        """A member for the length of the block."""
        task = asyncio.create_task(self._run(name))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, name: str) -> None:
        while True:
            with suppress(Unavailable):
                await Consumer(self.name, [TOPIC], {TYPE: partial(self._handle, name)}, self.settings, name).run()

    async def _handle(self, member: str, event: Event) -> None:
        self.handled.append((member, event.practitioner_id, event.subject, event.version, monotonic()))

    def lateness(self, history: History, since: float, until: float) -> list[float]:
        """Seconds from the answer to a write to its handling, of the events handled in this time, in order."""
        answered = {
            (each.record, each.version): each.returned
            for each in history.operations
            if each.kind != "read" and each.outcome == "ok"
        }
        found = [
            at - answered[record, version]
            for _, _, record, version, at in self.handled
            if since <= at < until and (record, version) in answered
        ]
        return sorted(max(0.0, late) for late in found)

    def shares(self, since: float, person: str = "") -> Counter[str]:
        """The number of events that each member has handled since then, of all people or of one."""
        return Counter(member for member, who, *_, at in self.handled if at >= since and person in ("", who))


async def measure(rate: float) -> None:
    """Let members join one by one, then leave, and print what that does to the events."""
    stack = RunningStack.from_environment()
    settings = stack.kafka_settings(partitions(stack.plan)).model_copy(update={"session_timeout_ms": SESSION_MS})
    group = Group(own_name("growth"), settings)
    own = {f"{group.name}.dead": 1, f"{group.name}.replay": 1}
    async with own_topics(stack.kafka, **own), sweep_load(stack, rate=rate) as load, AsyncExitStack() as staying:
        await staying.enter_async_context(group.member("one"))
        await _phase(group, load, "one member")
        async with AsyncExitStack() as leaving:
            for name in ("two", "three"):
                began = monotonic()
                await leaving.enter_async_context(group.member(name))
                await _change(group, load, f"{name} joins", began)
                await _phase(group, load, f"with {name}")
            await _hot_person(group, load)
            began = monotonic()
        await _change(group, load, "two and three leave", began)


async def _change(group: Group, load: SweepLoad, what: str, began: float) -> None:
    await asyncio.sleep(CHANGE_SECONDS)
    late = group.lateness(load.history, began, monotonic())
    print(f"{what}: an event is handled {max(late, default=0):.1f} s late at most", flush=True)


async def _phase(group: Group, load: SweepLoad, name: str) -> None:
    began = monotonic()
    await asyncio.sleep(PHASE_SECONDS)
    late, shares = group.lateness(load.history, began, monotonic()), group.shares(began)
    parts = ", ".join(f"{member} {count / max(1, shares.total()):.0%}" for member, count in sorted(shares.items()))
    print(f"{name}: {shares.total() / PHASE_SECONDS:.0f} events/s: {parts}; late {_percentiles(late)}", flush=True)


async def _hot_person(group: Group, load: SweepLoad) -> None:
    """One person saves as fast as four clients can; everyone else goes on."""
    person: Person = load.dossiers.new_person()
    began = monotonic()

    async def save() -> None:
        while monotonic() < began + HOT_SECONDS:
            await load.answers.ask(person.create(), 201, 429)

    await asyncio.gather(*(save() for _ in range(4)))
    await asyncio.sleep(2)
    shares = group.shares(began, person.id)
    print(f"one hot person: {shares.total() / HOT_SECONDS:.0f} events/s, handled by {', '.join(shares) or 'nobody'}")


def _percentiles(late: list[float]) -> str:
    if not late:
        return "nothing"
    return ", ".join(f"p{share} {late[min(len(late) - 1, len(late) * share // 100)]:.2f} s" for share in (50, 99))


def main(rate: Annotated[float, typer.Option(help="Operations on records a second.")] = 20) -> None:
    """Measure a group of one, two and three members in the cluster of STACK_FILE."""
    asyncio.run(measure(rate))


if __name__ == "__main__":
    typer.run(main)
