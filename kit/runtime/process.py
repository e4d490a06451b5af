"""Run a service's api or worker (`python -m services.<name> api|worker`): settings, logs, signals, supervision."""

import asyncio
import contextlib
import ctypes
import gc
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

import uvicorn
import uvloop
from starlette.types import ASGIApp

from kit.core.errors import TooManyDeadLetters, Unavailable, cause_of, is_ending
from kit.observability import log, tracing
from kit.runtime import health
from kit.runtime.health import Check, StallDetector
from kit.runtime.tls import ServerCertificate
from kit.settings import HttpSettings, InternalSettings, ProcessSettings, read

if TYPE_CHECKING:  # a worker does not need it
    from fastapi import FastAPI

S = TypeVar("S", bound=ProcessSettings)
Task = Callable[[], Awaitable[None]]
logger = log.get(__name__)
WATCHDOG_SECONDS = 5.0
RESTART_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 75  # longer than our clients', the gateway's and an Ingress' (60); handshakes cost CPU
STOPPED_SECONDS = 30.0  # a stopped consumer is visible this long, while the others continue, before the process ends


@dataclass(frozen=True)
class Api:
    """What an api process serves, what it needs to be ready, and the `tasks` it runs."""

    app: "FastAPI"
    checks: Mapping[str, Check]
    tasks: Sequence[Task] = ()


class OnKafka(Protocol):
    """A publisher or a consumer. Their modules are not imported here: an api process needs no Kafka client."""

    stall: StallDetector

    async def run(self) -> None:
        """Work until cancelled."""

    async def watch(self) -> None:
        """Measure the lag until cancelled."""

    async def ping(self) -> None:
        """A readiness check: a broker answers."""


class Group(OnKafka, Protocol):
    """A consumer."""

    group: str


@dataclass(frozen=True)
class Worker:
    """What a worker process runs (`tasks`: what is neither publisher nor consumer), and what it needs to be ready."""

    publisher: OnKafka | None
    consumers: Sequence[Group]
    checks: Mapping[str, Check]
    tasks: Sequence[Task] = ()


@dataclass(frozen=True)
class Service(Generic[S]):
    """A service: its name, its settings, and the package that constructs its processes (`wiring`).

    The package has a module `api` and, if there is such a process, `worker`, each with a function of that name, and a
    module `commands` with `COMMANDS`. A process imports only its own module, because the others cost memory.
    """

    name: str
    settings: type[S]
    wiring: str

    def has(self, module: str) -> bool:
        """Whether the package has this module."""
        return find_spec(f"{self.wiring}.{module}") is not None

    def api(self, settings: S) -> AbstractAsyncContextManager[Api]:
        """Open what the api process needs, and construct it."""
        opened: AbstractAsyncContextManager[Api] = resolve_name(f"{self.wiring}.api:api")(settings)
        return opened

    def worker(self, settings: S) -> AbstractAsyncContextManager[Worker]:
        """Open what the worker process needs, and construct it."""
        opened: AbstractAsyncContextManager[Worker] = resolve_name(f"{self.wiring}.worker:worker")(settings)
        return opened

    def commands(self) -> Mapping[str, Callable[..., None]]:
        """The other commands of the service, by name."""
        found: Mapping[str, Callable[..., None]] = {}
        if self.has("commands"):
            found = resolve_name(f"{self.wiring}.commands:COMMANDS")
        return found


def main(service: Service[S]) -> None:
    """The command line of a service. A process does not load what only the other commands need: 0.8 MB."""
    match sys.argv[1:]:
        case ["api"]:
            run(service, "api")
        case ["worker"] if service.has("worker"):
            run(service, "worker")
        case _:
            from kit.runtime import command_line

            command_line.main(service)


def run(service: Service[S], process: Literal["api", "worker"]) -> None:
    """Run one process until a signal ends it; exits non-zero if one of its tasks failed."""
    settings = read(service.settings)
    tracing.start(f"{service.name}-{process}", settings.tracing)
    log.configure(service.name, process, settings.log_level)
    serve = (
        _worker(service.worker(settings), settings) if process == "worker" else _api(service.api(settings), settings)
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve)
        except Exception as error:
            logger.critical("process failed", exc_info=error)
            sys.exit(1)


def tune() -> None:
    """Avoid two costs of the interpreter, together a third of the publisher's throughput; free memory after imports.

    The costs: full collections of long-lived objects, and the driver's threads waiting for a busy event loop.
    """
    gc.collect()
    gc.freeze()
    with suppress(AttributeError):  # only glibc has it: 7 MB
        ctypes.CDLL(None).malloc_trim(0)
    gc.set_threshold(50_000, 20, 100)
    sys.setswitchinterval(0.0005)


async def _api(opened: AbstractAsyncContextManager[Api], settings: ProcessSettings) -> None:
    async with opened as api:
        tune()
        certificate = ServerCertificate.of(settings.tls)
        public = http_server(api.app, settings.http, certificate, settings.http.trusted_proxies)
        internal = http_server(health.application(api.checks), settings.internal, certificate)
        await _until_signal([public, internal], [*api.tasks, *_renewals(certificate)])


async def _worker(opened: AbstractAsyncContextManager[Worker], settings: ProcessSettings) -> None:
    async with opened as worker:
        tune()
        ping = (worker.publisher or worker.consumers[0]).ping
        checks: dict[str, Check] = {**worker.checks, "kafka": ping, **_progress(worker)}
        certificate = ServerCertificate.of(settings.tls)
        await run_tasks([*_tasks(worker), *_renewals(certificate)], checks, settings.internal, certificate)


async def run_tasks(
    tasks: Sequence[Task],
    checks: Mapping[str, Check],
    internal: InternalSettings,
    certificate: ServerCertificate | None = None,
) -> None:
    """Run tasks until a signal, with health and metrics on the internal port; a task that ends or fails ends all."""
    await _until_signal([http_server(health.application(checks), internal, certificate)], tasks)


def _renewals(certificate: ServerCertificate | None) -> list[Task]:
    return [certificate.follow] if certificate else []


def http_server(
    app: ASGIApp, address: HttpSettings | InternalSettings, certificate: ServerCertificate | None, proxies: str = ""
) -> uvicorn.Server:
    """A server of this process; with a certificate it speaks TLS only."""
    config = uvicorn.Config(
        app, address.host, address.port, access_log=False, log_config=None, server_header=False, date_header=False,
        ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
        proxy_headers=bool(proxies), forwarded_allow_ips=proxies or None, timeout_graceful_shutdown=10,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        lifespan="off", ws="none",
    )  # fmt: skip
    return _Server(config)


class _Server(uvicorn.Server):
    """Leaves signals to this module: uvicorn would raise them again before anything is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _until_signal(servers: Sequence[uvicorn.Server], tasks: Sequence[Task]) -> None:
    """Serve until SIGTERM or SIGINT; a task that ends or fails ends the process."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(keep_running(task)) for task in tasks]
        for server in servers:
            group.create_task(server.serve())
        await stop.wait()
        for server in servers:
            server.should_exit = True
        for task in running:
            task.cancel()


async def keep_running(task: Task, pause_seconds: float = RESTART_SECONDS) -> None:
    """Run a task until cancelled. It is restarted after `Unavailable`; any other error is raised.

    Ending the process would have the same effect, only later.
    """
    while True:
        try:
            await task()
            raise RuntimeError(f"{task} ended")
        except Unavailable as error:
            logger.warning("task restarting", task=str(task), error=cause_of(error))
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1))  # noqa: S311  # jitter, no secret
        except asyncio.CancelledError as error:
            if is_ending():
                raise
            raise RuntimeError(f"{task} was cancelled by a library, not by this process") from error


def _progress(worker: Worker) -> dict[str, Check]:
    checks: dict[str, Check] = {consumer.group: consumer.stall.check for consumer in worker.consumers}
    return checks | ({"publisher": worker.publisher.stall.check} if worker.publisher else {})


def _tasks(worker: Worker) -> Iterator[Task]:
    yield partial(_watchdog, _progress(worker))
    if worker.publisher:
        yield from (worker.publisher.run, worker.publisher.watch)
    for consumer in worker.consumers:
        yield from (partial(_consume, consumer), consumer.watch)
    yield from worker.tasks


async def _consume(consumer: Group) -> None:
    try:
        await consumer.run()
    except TooManyDeadLetters:
        logger.exception("consumer stopped after too many dead letters", group=consumer.group)
        await asyncio.sleep(STOPPED_SECONDS)
        raise


async def _watchdog(checks: Mapping[str, Check]) -> None:
    """End the process if a stalled task does not recover: its supervisor starts a new one."""
    red = 0.0
    while True:
        await asyncio.sleep(WATCHDOG_SECONDS)
        try:
            for check in checks.values():
                await check()
            red = 0.0
        except RuntimeError:
            red += WATCHDOG_SECONDS
            if red > 60:
                raise
