"""Consumer groups: each service declares one table of groups, the events they consume and the methods for them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kit.core.events import Event, EventData
from kit.kafka.dead_letters import dead_letter_topic, replay_topic
from kit.messaging.consumer import Consumer, Handler
from kit.settings import KafkaSettings

H = TypeVar("H")
E = TypeVar("E", bound=EventData)
Guard = Callable[[Handler], Handler]
"""Wraps a handler so that it skips events about erased people."""


@dataclass(frozen=True)
class Route(Generic[H]):
    """Events of one type go to one method of the service's handlers."""

    topic: str
    type: str
    handle: Callable[[H, Event], Awaitable[None]]


def on(contract: type[E], method: Callable[[H, E], Awaitable[None]]) -> Route[H]:
    """The method gets the event's data, validated by the contract; data that does not fit is a dead letter."""

    async def handle(handlers: H, event: Event) -> None:
        await method(handlers, contract.model_validate_json(event.data))

    return Route(contract.TOPIC, contract.TYPE, handle)


def on_raw(contract: type[EventData], method: Callable[[H, Event], Awaitable[None]]) -> Route[H]:
    """The method gets the event as it was read: it needs only part of the contract, or must not trust it."""
    return Route(contract.TOPIC, contract.TYPE, method)


class Group(Generic[H]):
    """A consumer group: it reads independently of others, so that urgent events never wait for others.

    Events about erased people are skipped unless the group is declared `for_erased`.
    """

    def __init__(self, name: str, *routes: Route[H], for_erased: bool = False) -> None:
        self.name = name
        self.for_erased = for_erased
        self._routes = routes
        self.topics = sorted({route.topic for route in routes})
        self.types = sorted(route.type for route in routes)

    @property
    def own_topics(self) -> list[str]:
        """The topics of its dead letters and of events replayed to it."""
        return [dead_letter_topic(self.name), replay_topic(self.name)]

    def consumer(self, handlers: H, guard: Guard | None, kafka: KafkaSettings, instance: str) -> Consumer:
        """A member of the group. Raises `ValueError` if it needs a guard against erased people and gets none."""
        if guard is None and not self.for_erased:
            raise ValueError(f"{self.name} needs a guard, or must be declared `for_erased`")
        bound = {route.type: _bound(route, handlers) for route in self._routes}
        table = bound if guard is None or self.for_erased else {name: guard(handle) for name, handle in bound.items()}
        return Consumer(self.name, self.topics, table, kafka, instance)


def _bound(route: Route[H], handlers: H) -> Handler:
    async def handle(event: Event) -> None:
        await route.handle(handlers, event)

    return handle


def consumers(
    groups: Sequence[Group[H]], handlers: H, guard: Guard | None, kafka: KafkaSettings, instance: str
) -> list[Consumer]:
    """A member of each group."""
    return [group.consumer(handlers, guard, kafka, instance) for group in groups]


def names(groups: Sequence[Group[H]]) -> list[str]:
    """The names of the groups."""
    return [group.name for group in groups]
