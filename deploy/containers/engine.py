"""Docker's engine, with a folder of its own for images and containers, and Docker Compose as its client."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

STARTS_WITHIN = 30


class CommandFailed(Exception):
    """A command ended with an error; the message has the end of its output."""


@dataclass(frozen=True)
class Engine:
    """A running engine. `folder` has its storage and its log."""

    folder: Path
    socket: Path

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator["Engine"]:
        """Start the engine, without containers of an earlier run; at the end all containers are removed."""
        with TemporaryDirectory(prefix="engine-") as short, (folder / "engine.log").open("w") as log:
            engine = cls(folder, Path(short) / "docker.sock")
            daemon = await asyncio.create_subprocess_exec(*engine._daemon(), stdout=log, stderr=log)
            try:
                await engine._answers()
                await engine.clear()
                yield engine
                await engine.clear()
            finally:
                daemon.terminate()
                await daemon.wait()

    def _daemon(self) -> list[str]:
        """The daemon's command. node-exporter sees later mounts of the machine only if they propagate."""
        alone = ["unshare", "--mount", "--propagation", "shared"]
        own = {"data-root": self.folder / "docker", "exec-root": self.socket.parent / "exec"}
        other = {"host": f"unix://{self.socket}", "pidfile": self.socket.parent / "pid", "bridge": "none"}
        options = [f"--{name}={value}" for name, value in (own | other | {"log-level": "warn"}).items()]
        return [*alone, "dockerd", *options]

    async def _answers(self) -> None:
        async with asyncio.timeout(STARTS_WITHIN):
            while not self.socket.exists():  # noqa: ASYNC110 (another process makes it)
                await asyncio.sleep(0.1)

    async def clear(self) -> None:
        """Remove all containers, networks and volumes."""
        if containers := (await self.docker("ps", "--all", "--quiet")).split():
            await self.docker("rm", "--force", "--volumes", *containers)
        await self.docker("network", "prune", "--force")
        if volumes := (await self.docker("volume", "ls", "--quiet")).split():
            await self.docker("volume", "rm", *volumes)

    async def docker(self, *arguments: str) -> str:
        """Run the command-line client and return its output. Raises `CommandFailed`."""
        return await self.client(["docker", *arguments])

    async def compose(self, *arguments: str, folder: Path | None = None, given: str | None = None) -> str:
        """Run Docker Compose and return its output. Raises `CommandFailed`."""
        return await self.client([str(self.folder / "docker-compose"), *arguments], folder, given)

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container."""
        found: list[dict[str, Any]] = json.loads(await self.docker("inspect", container))
        return found[0]

    async def client(self, command: list[str], folder: Path | None = None, given: str | None = None) -> str:
        """Run a client of the engine and return its output. Raises `CommandFailed`."""
        pipe = asyncio.subprocess.PIPE
        environment = os.environ | {"DOCKER_HOST": f"unix://{self.socket}"}
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe
        )
        output, errors = await process.communicate(given.encode() if given else None)
        if process.returncode != 0:
            end = (output + errors).decode(errors="replace")[-3000:]
            raise CommandFailed(f"{Path(command[0]).name} {' '.join(command[-6:])} failed:\n{end}")
        return output.decode()
