"""Work on untrusted input, in confined processes that may be killed. Their answers are data, never code.

A process gets its work pickled, from us, and answers in JSON, which is checked against the function's return type: who
takes over such a process by a crafted file finds no secret, no network and no other process there (`confinement`),
and can send back nothing but a value of that type.
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
LENGTH, TOKEN = 4, 8  # bytes before each message that say how long it is; and to what it is the answer
MAX_ANSWER_BYTES = 512 * 1024 * 1024
SHUTDOWN_SECONDS = 2.0
CODE = Path(__file__).parents[2]
INHERITED = ("PATH", "LANG", "LC_ALL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")
"""Of the environment, where secrets lie too. OpenBLAS needs its own on some processors."""
FAULTS_OF_THE_INPUT = {
    -number for number in (signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
}
logger = log.get(__name__)


class TooCostly(Exception):
    """The work took more processor time than it may, or crashed its process: the input's fault."""


@dataclass(frozen=True)
class Limits:
    """What one piece of work may take: processor seconds, memory of its process, seconds on the clock."""

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
    def lives(self) -> bool:
        return self._process.returncode is None

    async def ask(self, cpu_seconds: int, function: Callable[..., object], arguments: tuple[object, ...]) -> bytes:
        """The answer. Raises `EOFError` after a crash, errors of the pipe, `ValueError` for another task's answer."""
        token = os.urandom(TOKEN)
        self._send(pickle.dumps((cpu_seconds, function, arguments)), token)
        if not self._greeted:
            _report(json.loads(await self._read()))
            self._greeted = True
        answer = await self._read()
        if answer[:TOKEN] != token:
            raise ValueError("the answer to something else")
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
        """How a process ended that closed its pipe."""
        try:  # not killed at once: kill() may reap the process, and its exit status would be lost
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            return await self.end()

    async def end(self) -> int:
        """Kill it if it lives. Returns how it ended."""
        if self.lives:
            with suppress(ProcessLookupError):
                self._process.kill()
        return await self._process.wait()


def _report(taken: object) -> None:
    missing = {"namespaces", "landlock", "seccomp"} - set(taken if isinstance(taken, list) else ())
    if missing:
        logger.warning("sandbox confinement incomplete", missing=sorted(missing))


class Sandbox:
    """Runs module-level functions in processes of its own, one piece of work at a time in each.

    They start when they are first needed, or at once where there is something that each does `first`: import what the
    work will need. They stay, and are replaced when they die; they end with ours. They may read our code and what is
    below `readable`, nothing else.
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
        """Waits for nothing."""
        for _ in range(self._workers):
            self._free.put_nowait(await self._started() if self._first else None)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kills what runs."""
        await asyncio.gather(*(process.end() for process in self._all))

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What the function returns or raises. Raises `TooCostly`, and `Unavailable` when the machine is at fault."""
        process = await self._free.get()
        try:
            if process is None or not process.lives:
                process = await self._started()
            return await self._answer(process, function, arguments)
        finally:
            self._free.put_nowait(process)

    async def _started(self) -> _Process:
        self._all = {process for process in self._all if process.lives}
        process = await _Process.started(self._limits.memory_bytes, self._readable, self._first)
        self._all.add(process)
        return process

    async def _answer(self, process: _Process, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        """A process that gave no valid answer is not used again."""
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
    """Where Python and our mechanism lie: not the folder around it, a developer keeps secrets there."""
    places = {sys.prefix, sys.base_prefix, "/lib", "/lib64", "/usr/lib", "/usr/local/lib", "/etc/ld.so.cache"}
    return sorted(places | {str(Path(__file__).parents[1]), "/dev/urandom", "/dev/null"})


@cache
def _returns(function: Callable[..., object]) -> TypeAdapter[tuple[object]]:
    try:
        returned = get_type_hints(function).get("return", object)
    except TypeError:  # a function written in C says nothing
        returned = object
    one = cast(type[tuple[object]], GenericAlias(tuple, (returned,)))
    return TypeAdapter(one, config=ConfigDict(val_json_bytes="base64"))


@dataclass(frozen=True)
class RaisedError:
    """What the function raised."""

    error: Exception


RAISED = TypeAdapter(tuple[str, str, list[str | int | float | None]])


def _read(function: Callable[..., T], answer: bytes) -> T | RaisedError:
    """What came. Raises `ValueError` for what is no value of the function's type, and no error."""
    if answer[:1] == b"r":
        return cast(T, _returns(function).validate_json(answer[1:])[0])
    return RaisedError(_error(*RAISED.validate_json(answer[1:])))


def _error(module: str, name: str, given: list[str | int | float | None]) -> Exception:
    """One of Python's errors, or of ours that this process knows already. Raises `ValueError` for others."""
    known = getattr(sys.modules.get(module), name, None) if module.startswith(("kit.", "builtins")) else None
    if isinstance(known, type) and issubclass(known, Exception):
        with suppress(TypeError):
            return known(*given)
    raise ValueError("no error that is known")
