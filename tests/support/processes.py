"""Killing, stopping and adding processes of the stack."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from deploy.local.readiness import Check, NotReady, s3_is_ready, server_checks, service_checks, wait_for
from deploy.local.secrets import secrets_of
from deploy.local.stack import ROOT
from tests.support.stack import RunningStack
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Processes:
    """The stack's supervised programs by name; the supervisor restarts a killed one."""

    stack: RunningStack
    interrupted: set[str] = field(default_factory=set)
    """The programs that were killed or stopped."""

    async def pid(self, program: str) -> int:
        """The pid of the running program."""

        async def found() -> int:
            programs = await asyncio.to_thread(self.stack.supervisor.programs)
            return next((p["pid"] for p in programs if p["name"] == program and p["statename"] == "RUNNING"), 0)

        return await eventually(found, 30, f"{program} runs")

    async def kill(self, program: str) -> int:
        """Sends SIGKILL. Returns the pid that has ended."""
        pid = await self.pid(program)
        self.interrupted.add(program)
        os.kill(pid, signal.SIGKILL)
        return pid

    @asynccontextmanager
    async def down(self, *programs: str) -> AsyncIterator[None]:
        """Stops the programs for the length of the block, all at once."""
        self.interrupted.update(programs)
        await asyncio.to_thread(self.stack.supervisor.stop, *programs)
        try:
            yield
        finally:
            await asyncio.to_thread(self.stack.supervisor.start, *programs)

    async def ready(self, url: str, within: float = 40) -> float:
        """Waits until a process is ready. Returns the seconds that took."""
        began = time.monotonic()
        ready = f"{url}/readyz"
        await eventually(lambda: answers(self.stack.http(seconds=3), ready), within, f"{url} is ready", pause=0.1)
        return time.monotonic() - began

    async def all_ready(self, within: float = 90) -> None:
        """Waits until every server and service is ready.

        Restarts the programs that are not, for the tests that follow, and fails with the logs of the interrupted ones.
        """
        try:
            await self._wait_for_all(within)
        except NotReady as error:
            states = {program["name"]: program["description"] for program in self.stack.supervisor.programs()}
            ends = [
                f"--- {name}: {states[name]}\n{self.stack.log(name).read_text()[-3000:]}" for name in self.interrupted
            ]
            async with self.down(*error.names):
                pass
            await self._wait_for_all(within)
            raise AssertionError("\n".join([str(error), *ends])) from None

    async def _wait_for_all(self, within: float) -> None:
        plan = self.stack.plan
        checks = [*server_checks(plan, secrets_of(plan)), *service_checks(plan)]
        await wait_for(checks, within, lambda _: None)

    async def kafka_ready(self, within: float = 40) -> None:
        await eventually(lambda: listens(self.stack.kafka.servers), within, "Kafka listens", pause=0.1)

    async def s3_ready(self, within: float = 40) -> None:
        """Waits until S3 stores objects; it listens seconds earlier."""
        plan = self.stack.plan
        check = Check("s3", lambda: s3_is_ready(plan, secrets_of(plan)))
        await wait_for([check], within, lambda _: None)

    @asynccontextmanager
    async def standby(
        self, program: str, instance: str, log: Path, *, bug: str = "", **settings: str
    ) -> AsyncIterator["Standby"]:
        """A second process of the same kind, beside the supervised one; `settings` may differ.

        `bug`: one of tests/support/broken_process.py.
        """
        service, _, role = program.partition("-")
        port, public = free_port(), free_port()
        own = {"INSTANCE": instance, "INTERNAL__PORT": str(port), "HTTP__PORT": str(public)}
        environment = os.environ | self.stack.environment(program) | own | settings
        broken = ["tests.support.broken_process", bug] if bug else []
        command = [sys.executable, "-m", *broken, f"services.{service}", role]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            standby = Standby(process.pid, f"https://127.0.0.1:{port}", f"https://127.0.0.1:{public}")
            await self.ready(standby.url)
            yield standby
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 15)
            finally:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Standby:
    """`url` is the internal address; `api` the public one, of an api process."""

    pid: int
    url: str
    api: str


async def leads(stack: RunningStack, url: str, service: str) -> bool:
    """Whether the worker at this internal address reports that it publishes."""
    async with stack.http(seconds=2) as client:
        try:
            text = (await client.get(f"{url}/metrics")).text
        except httpx2.HTTPError:
            return False
    return re.search(rf'^publisher_leads{{service="{service}"}} 1', text, re.MULTILINE) is not None


async def answers(http: httpx2.AsyncClient, url: str) -> bool:
    async with http as client:
        try:
            return (await client.get(url)).status_code == 200
        except httpx2.HTTPError:
            return False


async def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
