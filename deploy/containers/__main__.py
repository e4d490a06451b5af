"""`make containers`: from nothing to a running docker-compose.yml without Docker, tried, and taken down again."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.containers.compose import Composed
from deploy.containers.engine import CommandFailed, Engine
from deploy.containers.examine import build_twice, vulnerabilities
from deploy.containers.images import StandIns
from deploy.containers.installation import PROJECT, Installation
from deploy.containers.trials import RATE, Visitor, crash, trail_lines, unreachable_targets, visiting
from deploy.local import demo
from deploy.local.demo_data import demo_person
from deploy.local.portal import Portal
from deploy.local.readiness import port_is_taken
from deploy.local.stack import ROOT

SHOWN = 40
NEXT_VERSION = "0.1.0-next"
PORTS = (80, 443, 9090, 9093, 9094)
"""The ports that docker-compose.yml publishes."""
SCRAPED_WITHIN = 45
SETTLES = 5
"""Seconds under load before and after the update."""
KILLED = ("records-api", "mongo", "gateway")
console = Console(highlight=False)


class Failed(Exception):
    """A trial had the wrong result."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title, and after it how long it took."""
    began = time.monotonic()
    console.print(f"{time.strftime('%H:%M:%S')} {title} …")
    yield
    console.print(f"         {time.monotonic() - began:.1f} s")


async def run(composed: Composed) -> None:
    """Build our image, start everything, try it, take it down."""
    with step("our image, from deploy/Dockerfile"):
        await composed.build()
    with step("docker compose up --wait"):
        await composed.up()
    console.print(await composed.compose("ps", "--all", "--format", "table {{.Service}}\t{{.Image}}\t{{.Status}}"))
    with step("accounts, clients, a subscriber"):
        known = await composed.accounts()
    with step("make demo"):
        if not await demo.play(known | await composed.facts()):
            raise Failed("the demo failed")
    await _observe(composed)
    for name in KILLED:
        running, healthy = await crash(composed, name)
        console.print(
            f"         {name} was killed: it ran again after {running:.1f} s, was healthy after {healthy:.1f} s"
        )
    await _update_under_load(composed, known)
    with step("the demo again"):
        if not await demo.play(known | await composed.facts()):
            raise Failed("the demo failed after the update")
    with step("docker compose down"):
        await composed.compose("down", "--volumes")


async def _examine(composed: Composed) -> None:
    with step("our image, built twice more from nothing"):
        found = await build_twice(composed)
    console.print(
        f"         {found.same} of {found.layers} layers are the same; of {found.files} files"
        f" {len(found.different)} differ in more than their times:"
    )
    for name in found.different[:SHOWN]:
        console.print(f"           {name}")
    with step("known vulnerabilities in it"):
        known, lines = await vulnerabilities(composed.engine, f"{PROJECT}:{NEXT_VERSION}")
    console.print(f"         data about {known} Python packages; {len(lines)} vulnerabilities or pending updates")
    for line in lines:
        console.print(f"           {line}")


async def _observe(composed: Composed) -> None:
    await asyncio.sleep(SCRAPED_WITHIN)
    count, unreachable = await unreachable_targets()
    console.print(f"         Prometheus scrapes {count - len(unreachable)} of {count} targets")
    lines = await trail_lines(composed)
    console.print(f"         trail has stored {lines} security events and requests")
    if unreachable or not lines:
        raise Failed("\n".join(["metrics or logs are missing", *unreachable]))


async def _update_under_load(composed: Composed, known: dict[str, dict[str, dict[str, str]]]) -> None:
    composed.use(NEXT_VERSION)
    with step("the next version of our image"):
        await composed.build()
    async with Portal.opened(known | await composed.facts()) as portal:
        session = await demo_person(portal, await portal.client_token(**known["demo"]["client"]))
        visitor = Visitor(portal.http, session)
        before = await visitor.stored()
        async with visiting(visitor):
            await asyncio.sleep(SETTLES)
            with step(f"every process is replaced by the next version, at {RATE} requests a second"):
                await composed.up()
            await asyncio.sleep(SETTLES)
        stored = await visitor.stored()
    console.print(
        f"         {visitor.sent} requests, {visitor.failed} failed, {visitor.retried} sent again,"
        f" the longest took {visitor.longest:.1f} s; {len(visitor.added)} records added"
    )
    wrong = visitor.added ^ (set(stored) - set(before))
    if visitor.failed or wrong or len(stored) != len(set(stored)):
        raise Failed(f"{visitor.failed} requests failed, {len(wrong)} records are lost or were stored twice")


async def _main(folder: Path, examine: bool, patient: bool) -> None:
    taken = [port for port in PORTS if port_is_taken(port)]
    if taken:
        raise Failed(f"another program listens on {', '.join(map(str, taken))}")
    async with Engine.running(folder) as engine:
        with step("stand-ins for images of others"):
            await StandIns(engine).base()
            await StandIns(engine).build()
        with step("an installation: .env, secrets, certificates"):
            installation = Installation.fresh(folder / "installation", folder / "docker/containers")
        composed = Composed(engine, installation)
        if patient:
            await composed.be_patient()
        try:
            await run(composed)
            if examine:
                await _examine(composed)
        except BaseException:
            await _keep_logs(composed)
            raise


async def _keep_logs(composed: Composed) -> None:
    """Write what the containers logged, and how they are, before they are removed."""
    for name, words in {"containers.log": ("logs", "--no-color"), "containers.txt": ("ps", "--all")}.items():
        (composed.engine.folder / name).write_text(await composed.compose(*words))
    console.print(f"see {composed.engine.folder}: containers.log, containers.txt, engine.log")


def main(
    examine: Annotated[
        bool, typer.Option("--examine", help="also build the image twice, and look for vulnerabilities")
    ] = False,
    patient: Annotated[
        bool, typer.Option("--patient", help="let health checks take longer, on a busy machine")
    ] = False,
) -> None:
    """Run docker-compose.yml without a Docker of this machine's; only as root."""
    if os.geteuid() != 0:
        sys.exit("make containers needs root: it mounts, makes networks and changes users")
    try:
        folder = ROOT / ".local/containers"
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(_main(folder, examine, patient))
    except (Failed, CommandFailed, TimeoutError) as error:
        console.print("failed:", str(error), style="red", markup=False)
        sys.exit(1)
    console.print("[green]done[/green]")


if __name__ == "__main__":
    typer.run(main)
