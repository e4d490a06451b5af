"""Work on what strangers send, in a process apart that may be killed: the only importer of the process pool."""

import asyncio
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessPool

T = TypeVar("T")
FAULTS_OF_THE_INPUT = {
    -number for number in (signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
}


class TooCostly(Exception):
    """The work took more processor time than it may, or crashed its process: the input's fault."""


@dataclass(frozen=True)
class Limits:
    """What one piece of work may take: processor seconds, memory of its process, seconds on the clock."""

    cpu_seconds: int = 5
    memory_bytes: int = 512 * 1024 * 1024
    seconds: float = 20


class Sandbox:
    """Runs module-level functions in processes of its own, one piece of work at a time in each.

    They start when they are first needed, or at once where there is something that each does `first`: import what the
    work will need. They stay, and are replaced when they die; they end with ours.
    """

    def __init__(self, workers: int = 1, limits: Limits = Limits(), first: Callable[[], object] | None = None) -> None:
        self._workers, self._limits, self._first = workers, limits, first
        self._pool: ProcessPool | None = None

    async def __aenter__(self) -> Self:
        """Waits for nothing."""
        if self._first is not None:
            self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kills what runs."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            await asyncio.to_thread(self._pool.join)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What the function returns or raises. Raises `TooCostly`, and `Unavailable` when the machine is at fault."""
        # not above: the processes of the pool import this module too, and shall be small
        from kit.errors import Unavailable

        for _ in range(2):
            try:
                return await self._once(function, arguments)
            except BrokenExecutor:  # died before the pool knew of what: the next try tells whose fault it is
                continue
            except TimeoutError as error:
                raise Unavailable("the sandbox") from error
            except ProcessExpired as error:
                if error.exitcode in FAULTS_OF_THE_INPUT:
                    raise TooCostly from error
                raise Unavailable("the sandbox") from error
        raise Unavailable("the sandbox")

    async def _once(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        given = [self._limits.cpu_seconds, function, arguments]
        return await asyncio.wrap_future(self._started().schedule(_measured, given, timeout=self._limits.seconds))

    def _started(self) -> ProcessPool:
        while self._pool is None or not self._pool.active:  # a new one starts when it is asked
            apart = multiprocessing.get_context("spawn")  # a fork would inherit the event loop and every connection
            given = [self._limits.memory_bytes, self._first]
            self._pool = ProcessPool(self._workers, initializer=_begin, initargs=given, context=apart)
        return self._pool


def _begin(memory_bytes: int, first: Callable[[], object] | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if first is not None:
        first()


def _measured(cpu_seconds: int, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
    """The limit counts what the process has used since it began: it is moved on for each piece of work."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + cpu_seconds, hard))
    return function(*arguments)
