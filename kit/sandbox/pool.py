"""Runs functions on untrusted input, in confined processes that may be killed. Their answers are data, never code.

A process gets its work pickled and answers in JSON, which is validated against the function's return type. A crafted
file that takes over such a process finds no secret, no network and no other process there (`confinement`), and can
only return a value of that type.
"""

import asyncio
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Self, TypeVar, cast, get_type_hints

from pydantic import ConfigDict, TypeAdapter

from kit.core.errors import Unavailable
from kit.observability import log

T = TypeVar("T")
LENGTH, TOKEN = 4, 8  # bytes before each message: its length, and the token of its request
MAX_ANSWER_BYTES = 512 * 1024 * 1024
SHUTDOWN_SECONDS = 2.0
CODE = Path(__file__).parents[2]
INHERITED = ("PATH", "LANG", "LC_ALL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")
"""Inherited environment variables; the others may be secrets. OpenBLAS needs its own on some processors."""
FAULTS_OF_THE_INPUT = {
    -number for number in (signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
}
logger = log.get(__name__)


class TooCostly(Exception):
    """The work exceeded its processor time or crashed its process: the input is at fault."""


@dataclass(frozen=True)
class Limits:
    """Limits of one call: processor seconds, memory of its process, elapsed seconds."""

    cpu_seconds: int = 5
    memory_bytes: int = 512 * 1024 * 1024
    seconds: float = 20


class _Process:
    """One process of a sandbox."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._greeted = process, False

    @classmethod
    async def started(cls, memory_bytes: int, readable: list[str], first: Callable[[], object] | None) -> Self:
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {"PYTHONPATH": str(CODE)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kit.sandbox.child",
            env=environment, cwd="/", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        made = cls(process)
        made._send(pickle.dumps((memory_bytes, readable, first)))
        return made

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def ask(self, cpu_seconds: int, function: Callable[..., object], arguments: tuple[object, ...]) -> bytes:
        """The answer. Raises `EOFError` after a crash, `OSError`, `ValueError` for the answer to another request."""
        token = os.urandom(TOKEN)
        self._send(pickle.dumps((cpu_seconds, function, arguments)), token)
        if not self._greeted:
            _report(json.loads(await self._read()))
            self._greeted = True
        answer = await self._read()
        if answer[:TOKEN] != token:
            raise ValueError("the answer to another request")
        return answer[TOKEN:]

    def _send(self, message: bytes, token: bytes = b"") -> None:
        if self._process.stdin is None:
            raise BrokenPipeError
        self._process.stdin.writelines([token, len(message).to_bytes(LENGTH, "big"), message])

    async def _read(self) -> bytes:
        pipe = self._process.stdout
        if pipe is None:
            raise EOFError
        length = int.from_bytes(await pipe.readexactly(LENGTH), "big")
        if length > MAX_ANSWER_BYTES:
            raise EOFError
        return await pipe.readexactly(length)

    async def ended(self) -> int:
        """The exit status of a process that closed its pipe."""
        try:  # not killed at once: kill() may reap the process, and its exit status would be lost
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            return await self.end()

    async def end(self) -> int:
        """Kill the process if it runs. Returns its exit status."""
        if self.running:
            with suppress(ProcessLookupError):
                self._process.kill()
        return await self._process.wait()


def _report(taken: object) -> None:
    missing = {"namespaces", "landlock", "seccomp"} - set(taken if isinstance(taken, list) else ())
    if missing:
        logger.warning("sandbox confinement incomplete", missing=sorted(missing))


class Sandbox:
    """Runs module-level functions in its own processes, one call at a time in each.

    A process starts when it is first needed, or at once if there is a `first` function, which imports what the work
    needs. It is reused until it ends, then replaced; all end with this process. It may read this code and what is below
    `readable`, nothing else.
    """

    def __init__(
        self, workers: int = 1, limits: Limits = Limits(), first: Callable[[], object] | None = None,
        readable: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._workers = workers
        self._limits = limits
        self._first = first
        self._readable = [*_code(), *readable]
        self._free: asyncio.Queue[_Process | None] = asyncio.Queue()
        self._all: set[_Process] = set()

    async def __aenter__(self) -> Self:
        """Start the processes if there is a `first` function."""
        for _ in range(self._workers):
            self._free.put_nowait(await self._started() if self._first else None)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill all processes."""
        await asyncio.gather(*(process.end() for process in self._all))

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Run the function; raises its error, `TooCostly`, and `Unavailable` if the machine is at fault."""
        process = await self._free.get()
        try:
            if process is None or not process.running:
                process = await self._started()
            return await self._answer(process, function, arguments)
        finally:
            self._free.put_nowait(process)

    async def _started(self) -> _Process:
        self._all = {process for process in self._all if process.running}
        process = await _Process.started(self._limits.memory_bytes, self._readable, self._first)
        self._all.add(process)
        return process

    async def _answer(self, process: _Process, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        """The validated answer; a process that gave no valid one is not reused."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                answer = await process.ask(self._limits.cpu_seconds, function, arguments)
            returned = _read(function, answer)
        except (TimeoutError, ValueError) as error:
            await process.end()
            raise Unavailable("the sandbox") from error
        except (EOFError, OSError) as error:
            if await process.ended() in FAULTS_OF_THE_INPUT:
                raise TooCostly from error
            raise Unavailable("the sandbox") from error
        except BaseException:  # the caller no longer waits for this answer, and the next one must not get it
            await process.end()
            raise
        if isinstance(returned, RaisedError):
            raise returned.error
        return returned


def _code() -> list[str]:
    """The folders of Python and the kit, but not the folder around it, where developers keep secrets."""
    places = {sys.prefix, sys.base_prefix, "/lib", "/lib64", "/usr/lib", "/usr/local/lib", "/etc/ld.so.cache"}
    return sorted(places | {str(Path(__file__).parents[1]), "/dev/urandom", "/dev/null"})


@cache
def _returns(function: Callable[..., object]) -> TypeAdapter[tuple[object]]:
    try:
        returned = get_type_hints(function).get("return", object)
    except TypeError:  # a function written in C has no type hints
        returned = object
    one = cast(type[tuple[object]], GenericAlias(tuple, (returned,)))
    return TypeAdapter(one, config=ConfigDict(val_json_bytes="base64"))


@dataclass(frozen=True)
class RaisedError:
    """The error that the function raised."""

    error: Exception


RAISED = TypeAdapter(tuple[str, str, list[str | int | float | None]])


def _read(function: Callable[..., T], answer: bytes) -> T | RaisedError:
    """Parse an answer. Raises `ValueError` if it is neither a value of the return type nor an error."""
    if answer[:1] == b"r":
        return cast(T, _returns(function).validate_json(answer[1:])[0])
    return RaisedError(_error(*RAISED.validate_json(answer[1:])))


def _error(module: str, name: str, given: list[str | int | float | None]) -> Exception:
    """A built-in error, or one of the kit that this process has imported. Raises `ValueError` for others."""
    known = getattr(sys.modules.get(module), name, None) if module.startswith(("kit.", "builtins")) else None
    if isinstance(known, type) and issubclass(known, Exception):
        with suppress(TypeError):
            return known(*given)
    raise ValueError("unknown error")
