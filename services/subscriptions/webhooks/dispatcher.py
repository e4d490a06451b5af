"""Runs the deliverers of the webhooks assigned to this worker, one each, and restarts them after errors."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from kit.core.clock import Clock
from kit.mongo import Conflict
from kit.observability import log
from kit.observability.metrics import initialise
from kit.runtime.periodic import every
from services.subscriptions import metrics
from services.subscriptions.webhooks.deliverer import Deliverer, Pause
from services.subscriptions.webhooks.domain import BY, Reason, Webhook
from services.subscriptions.webhooks.store import Clients, Webhooks

STATES = ("active", "failing", "paused", "suspended")
Make = Callable[[Webhook], AbstractAsyncContextManager[Deliverer]]
Mine = Callable[[str], bool]
logger = log.get(__name__)


@dataclass(frozen=True)
class DispatcherPolicy:
    """`dispatch_seconds`: between two reads of the webhooks; after `stall_seconds` without one it is not ready."""

    dispatch_seconds: float = 1.0
    restart_seconds: float = 2.0
    stall_seconds: float = 30.0


@dataclass
class _Running:
    """The running deliverer of one version of a webhook; `deliverer` is empty until it is connected."""

    version: int
    task: asyncio.Task[None]
    deliverer: list[Deliverer] = field(default_factory=list)


class Dispatcher:
    """Starts and stops deliverers by the stored webhooks; a new version of a webhook restarts its deliverer.

    A webhook whose client is disabled or has lost the scope is suspended: nothing is delivered, its position is kept.
    """

    def __init__(
        self, webhooks: Webhooks, clients: Clients, make: Make, clock: Clock,
        policy: DispatcherPolicy = DispatcherPolicy(),
    ) -> None:  # fmt: skip
        self._policy = policy
        self._webhooks = webhooks
        self._clients = clients
        self._make = make
        self._clock = clock
        self._suspended: set[str] = set()
        self._running: dict[str, _Running] = {}
        self._mine: Mine = lambda _: False
        self._dispatched_at = 0.0
        initialise(metrics.webhook_pauses, ["failing", "gone"])

    async def run(self, mine: Mine) -> None:
        """Dispatch until cancelled; `mine`: whether a webhook (its id) is assigned to this worker."""
        self._mine = mine
        self._dispatched_at = asyncio.get_running_loop().time()
        try:
            await every(self._policy.dispatch_seconds, self._dispatch, "dispatch webhooks")
        finally:
            await self.release()

    async def check(self) -> None:
        """A readiness check: the webhooks were read within `stall_seconds`."""
        seconds = asyncio.get_running_loop().time() - self._dispatched_at
        if seconds > self._policy.stall_seconds:
            raise RuntimeError(f"webhooks were not dispatched for {seconds:.0f} s")

    async def release(self) -> None:
        """Stop all deliverers; events whose delivery was in progress are delivered again."""
        await self._stop(list(self._running))

    async def _dispatch(self) -> None:
        found = await self._webhooks.present()
        mine = {webhook.id: webhook for webhook in found if self._mine(webhook.id)}
        active = {identity: webhook for identity, webhook in mine.items() if webhook.state == "active"}
        self._suspend(active, await self._clients.ended())
        # A deliverer that has ended may have paused its webhook just after the read above: the next round knows.
        ended = {identity for identity, running in self._running.items() if running.task.done()}
        await self._stop([identity for identity in self._running if self._is_stale(identity, active)])
        for webhook in active.values():
            if webhook.id not in self._running.keys() | ended and self._mine(webhook.id):
                self._start(webhook)
        self._measure(mine.values())
        self._dispatched_at = asyncio.get_running_loop().time()

    def _suspend(self, active: dict[str, Webhook], ended: set[str]) -> None:
        """Remove the webhooks of clients in `ended` (ids) from `active`."""
        suspended = {identity for identity, webhook in active.items() if webhook.client_id in ended}
        for identity in suspended:
            webhook = active.pop(identity)
            if identity not in self._suspended:
                logger.warning("webhook suspended", webhook=identity, client=webhook.client_id)
        self._suspended = suspended

    def _is_stale(self, identity: str, active: dict[str, Webhook]) -> bool:
        running = self._running[identity]
        return running.task.done() or identity not in active or active[identity].version != running.version

    def _start(self, webhook: Webhook) -> None:
        holder: list[Deliverer] = []
        task = asyncio.create_task(self._keep_delivering(webhook, holder))
        self._running[webhook.id] = _Running(webhook.version, task, holder)

    async def _stop(self, identities: list[str]) -> None:
        tasks = [self._running.pop(identity).task for identity in identities]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep_delivering(self, webhook: Webhook, holder: list[Deliverer]) -> None:
        while True:
            try:
                return await self._deliver(webhook, holder)
            except Exception as error:
                logger.warning("delivery failed, restarting", webhook=webhook.id, error=repr(error))
            await asyncio.sleep(self._policy.restart_seconds)

    async def _deliver(self, webhook: Webhook, holder: list[Deliverer]) -> None:
        """Deliver events until the webhook has to pause."""
        try:
            async with self._make(webhook) as deliverer:
                holder[:] = [deliverer]
                await deliverer.run()
        except Pause as pause:
            await self._pause(webhook.id, pause.reason)

    async def _pause(self, identity: str, reason: Reason) -> None:
        """Store the pause, log it as an error and count it; the position is kept, so that nothing is lost."""
        webhook = await self._webhooks.get(identity)
        if webhook is None or webhook.state != "active":
            return
        logger.error("webhook paused", webhook=identity, client=webhook.client_id, reason=reason)
        metrics.webhook_pauses.labels(reason).inc()
        paused = webhook.paused(reason, at=self._clock.now(), by=BY)
        try:
            await self._webhooks.replace(paused)
        except Conflict:  # changed at the same time: delivery continues with the new version
            logger.info("pause discarded", webhook=identity)

    def _measure(self, mine: Iterable[Webhook]) -> None:
        failing = {identity for identity, one in self._running.items() if any(each.failing for each in one.deliverer)}
        special = dict.fromkeys(failing, "failing") | dict.fromkeys(self._suspended, "suspended")
        states = Counter(special.get(webhook.id, webhook.state) for webhook in mine)
        for state in STATES:
            metrics.webhooks.labels(state).set(states[state])
