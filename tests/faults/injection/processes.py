"""Faults of processes: killed, paused, restarted. The supervisor starts a killed one again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from deploy.local.supervisor import Supervisor


async def pid_of(supervisor: Supervisor, name: str) -> int | None:
    """The pid of a program, None while it does not run."""
    programs = await asyncio.to_thread(supervisor.programs)
    return next((int(each["pid"]) for each in programs if each["name"] == name and each["pid"]), None)


async def kill(supervisor: Supervisor, name: str) -> bool:
    """Send SIGKILL; False if the program does not run."""
    if (pid := await pid_of(supervisor, name)) is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True


@asynccontextmanager
async def paused(supervisor: Supervisor, name: str) -> AsyncIterator[None]:
    """Stop a program with SIGSTOP: its connections stay open and nothing answers."""
    pid = await pid_of(supervisor, name)
    _signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pid, signal.SIGCONT)


@asynccontextmanager
async def down(supervisor: Supervisor, name: str) -> AsyncIterator[None]:
    """Stop a program in an orderly way, as an update does, and start it again."""
    await asyncio.to_thread(supervisor.stop, name)
    try:
        yield
    finally:
        await asyncio.to_thread(supervisor.start, name)


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
