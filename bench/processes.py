"""Separate processes, so that the measuring is not measured: one-shot workers, and servers."""

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import psutil
import uvloop

READY_WITHIN = 30.0
ANSWERS_WITHIN = 7200.0  # a soak is long
Answer = dict[str, Any]


async def measured(module: str, **task: object) -> Answer:
    """Run `python -m <module>` with the task as JSON on standard input; returns its answer, one line of JSON."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, stdin=pipe, stdout=pipe)
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            answer, _ = await process.communicate(json.dumps(task).encode())
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"{module} failed, its error is above")
    return dict(json.loads(answer))


def answer(work: Callable[..., Awaitable[Answer]]) -> None:
    """The child's side of `measured`: run the task and print nothing but its answer on standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(runner.run(_work(work, task)), out)
    out.flush()


async def _work(work: Callable[..., Awaitable[Answer]], task: Mapping[str, Any]) -> Answer:
    return await work(**task)


@asynccontextmanager
async def server(
    module: str, words: Sequence[str], settings: Mapping[str, str], ready: str, ca: str = ""
) -> AsyncIterator[psutil.Process]:
    """Run `python -m <module> <words>` and wait until `ready` answers 200."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words), env={**os.environ, **settings}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await _answers(ready, ca)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def _answers(url: str, ca: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    async with httpx2.AsyncClient(timeout=2, verify=ssl.create_default_context(cafile=ca or None)) as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise TimeoutError(f"{url} is not ready")


def listeners() -> dict[int, int]:
    """Return the listening process of each port."""
    found = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.laddr]
    return {each.laddr.port: each.pid or 0 for each in found if each.laddr}


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that the process has used so far."""
    used = process.cpu_times()
    return float(used.user + used.system)
