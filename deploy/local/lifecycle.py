"""Starts and stops one copy of the stack, in the order of its dependencies."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
from rich.console import Console

from deploy.local import access, network
from deploy.local.demo_data import DemoDataError, load_demo_data
from deploy.local.environment import CLOCK_LIBRARY, tool_environment
from deploy.local.portal import UnexpectedAnswer
from deploy.local.ports import ONLY_API, SERVICES
from deploy.local.programs import server_programs, service_programs, write_configuration
from deploy.local.prometheus import PACKAGES, watchers
from deploy.local.readiness import (
    Check,
    NotReady,
    port_is_taken,
    server_checks,
    service_checks,
    wait_for,
    watcher_checks,
)
from deploy.local.secrets import Secrets, secrets_of
from deploy.local.servers import prepare_servers
from deploy.local.stack import ROOT, Stack
from deploy.local.stackfile import write_stackfile
from deploy.local.supervisor import Supervisor

SERVERS_READY_WITHIN = 120
SERVICES_READY_WITHIN = 120
_LINES_SHOWN = 25
_CLOCK = ROOT / "deploy" / "local" / "clock.c"
_WITH_DATA = ("kafka", "mongo", "redis", "s3")

console = Console(stderr=True, highlight=False)


class StackError(Exception):
    """The stack could not be started; the message is for the person at the terminal."""


def up(stack: Stack) -> None:
    """Start what does not run, wait until all is ready, load the demo data, write stack.json."""
    stack.make_folders()
    stack.stackfile.unlink(missing_ok=True)
    secrets = secrets_of(stack)
    stored = (stack.servers / stack.layout.of("mongo")[0].name / "WiredTiger").exists()
    if stack.layout.cluster:
        network.connect(stack.layout)
    if stack.layout.for_faults:
        _prepare_for_faults(stack)
    _start_supervisor(stack, secrets)
    if not stored:
        _initiate_mongo(stack, secrets)
    _start(stack, server_programs(stack), server_checks(stack, secrets), SERVERS_READY_WITHIN)
    _grant_access(stack, secrets)
    _create_topics(stack, secrets)
    if stored:
        _migrate(stack)
    _start_services(stack, service_programs(stack))
    _start_watchers(stack)
    _load_demo_data(stack, secrets)
    write_stackfile(stack, secrets)


def down(stack: Stack) -> None:
    """Stop our processes, then the servers that they need; the data stay."""
    stack.stackfile.unlink(missing_ok=True)
    supervisor = Supervisor(stack)
    if not supervisor.runs():
        return
    supervisor.stop("gateway", *watchers(stack), *service_programs(stack))
    supervisor.stop(*server_programs(stack))
    supervisor.shut_down()


def reset(stack: Stack) -> None:
    """Stop the stack and delete its data, keys and logs; what setup fetched (Kafka's libraries) stays."""
    down(stack)
    own = (
        stack.servers, stack.logs, stack.environments, stack.certificates, stack.client_properties, stack.secrets,
        stack.supervisor_config, stack.supervisor_pid,
    )  # fmt: skip
    for path in own:
        _delete(path)
    if stack.socket.parent != stack.data:
        _delete(stack.socket.parent)


def restart(stack: Stack, service: str | None) -> None:
    """Restart our processes (all, or one service's) with the current code."""
    names = [name for name in service_programs(stack) if service is None or name.startswith(f"{service}-")]
    if not names:
        raise StackError(f"there is no service {service}")
    Supervisor(stack).stop(*names)
    _start_services(stack, names)


def _prepare_for_faults(stack: Stack) -> None:
    """Give servers small disks to fill, and our processes clocks to set and links to code to change."""
    stack.clocks.mkdir(exist_ok=True)
    compile_clock = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(stack.clocks / CLOCK_LIBRARY), str(_CLOCK), "-ldl"]
    subprocess.run(compile_clock, check=True)
    for name in service_programs(stack):
        (stack.clocks / name).write_bytes(bytes(8))  # 0.0
    for instance in stack.layout.instances:
        stack.code_of(instance).parent.mkdir(exist_ok=True)
        stack.code_of(instance).unlink(missing_ok=True)
        stack.code_of(instance).symlink_to(ROOT)
    for instance in stack.layout.instances:
        folder = stack.servers / instance.name
        if instance.kind in _WITH_DATA and not folder.is_mount():
            folder.mkdir(exist_ok=True, mode=0o700)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500m,mode=700", "disk", str(folder)], check=True)


def _start_supervisor(stack: Stack, secrets: Secrets) -> None:
    """Start the supervisor; one that runs is restarted only when its configuration has changed."""
    supervisor = Supervisor(stack)
    changed = write_configuration(stack, secrets)
    if supervisor.runs() and changed:
        console.print("the configuration has changed: stopping what runs")
        down(stack)
    if not supervisor.runs():
        _require_free_ports(stack)
        access.issue_certificates(stack)
        prepare_servers(stack, secrets)
        supervisor.start_daemon()


def _require_free_ports(stack: Stack) -> None:
    if stack.layout.cluster:  # its networks are its own
        return
    taken = [f"{port} (wanted by {use})" for port, use in sorted(stack.ports.by_use().items()) if port_is_taken(port)]
    if taken:
        raise StackError(f"another program listens on port {', '.join(taken)}; stop it and try again")


def _start(stack: Stack, programs: Sequence[str], checks: list[Check], seconds: float) -> None:
    """Start programs and wait for them; prints when each is ready."""
    began = time.monotonic()
    Supervisor(stack).start(*programs)

    def ready(name: str) -> None:
        console.print(f"  {name:16} ready after {time.monotonic() - began:4.1f} s")

    try:
        asyncio.run(wait_for(checks, seconds, ready))
    except NotReady as error:
        for name in error.names:
            _print_end_of_log(stack, name)
        raise StackError(str(error)) from error


def _start_services(stack: Stack, names: Sequence[str]) -> None:
    """Start the first instance of each process, then the second ones: all at once they would time out on few cores."""
    numbers = {each.name: each.number for each in stack.layout.instances if each.name in names}
    for number in sorted(set(numbers.values())):
        wave = [name for name in names if numbers[name] == number]
        checks = [check for check in service_checks(stack) if check.name in wave]
        _start(stack, wave, checks, SERVICES_READY_WITHIN)


def _start_watchers(stack: Stack) -> None:
    """Start the optional programs and print which of them are not installed."""
    if stack.layout.cluster:
        return
    _start(stack, list(watchers(stack)), watcher_checks(stack), SERVERS_READY_WITHIN)
    if missing := [package for program, package in PACKAGES.items() if program not in watchers(stack)]:
        console.print(f"  without metrics over time and alerts: not installed are {', '.join(missing)}")


def _initiate_mongo(stack: Stack, secrets: Secrets) -> None:
    """Initiate the replica set beside its first member, since only there the first user can be created."""
    members = stack.layout.of("mongo")
    Supervisor(stack).start(*server_programs(stack))
    command = stack.layout.command(members[0], [sys.executable, "-m", "deploy.access", "initiate"])
    given = {"MONGO_MEMBERS": ",".join(access.mongo_members(stack)), "PASSWORDS": "{}"}
    environment = os.environ | tool_environment(stack, secrets, "admin") | given
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StackError(f"the replica set could not be initiated:\n{result.stdout}{result.stderr}")


def _grant_access(stack: Stack, secrets: Secrets) -> None:
    with _timed("access"):
        asyncio.run(access.grant(stack, secrets))


def _create_topics(stack: Stack, secrets: Secrets) -> None:
    command = [sys.executable, "-m", "kit.kafka.topics", "apply"]
    with _timed("topics"):
        environment = os.environ | tool_environment(stack, secrets, "topics")
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StackError(f"the topics could not be created:\n{result.stdout}{result.stderr}")


def _migrate(stack: Stack) -> None:
    """Change what an earlier release stored, as deployments do before the new release starts."""
    services = [name for name in SERVICES if name not in ONLY_API]
    with _timed("migrations"):
        running = {
            service: subprocess.Popen(
                [sys.executable, "-m", f"services.{service}", "migrate"],
                cwd=ROOT,
                env=os.environ | json.loads((stack.environments / f"{service}-worker.json").read_text()),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for service in services
        }
        outputs = {service: process.communicate()[0] for service, process in running.items()}
    if failed := [service for service in services if running[service].returncode != 0]:
        raise StackError(f"{failed[0]} could not be migrated:\n{outputs[failed[0]]}")


def _load_demo_data(stack: Stack, secrets: Secrets) -> None:
    try:
        with _timed("demo data"):
            asyncio.run(load_demo_data(stack, secrets))
    except (DemoDataError, UnexpectedAnswer, TimeoutError, httpx2.HTTPError) as error:
        raise StackError(f"the demo data could not be loaded: {error or type(error).__name__}") from error


def _print_end_of_log(stack: Stack, program: str) -> None:
    path = stack.logs / f"{program}.log"
    lines = path.read_text(errors="replace").splitlines()[-_LINES_SHOWN:] if path.exists() else []
    console.print(f"\n[bold]{program}[/bold], the end of {path}:")
    console.print("\n".join(lines) or "(nothing)", markup=False)


@contextmanager
def _timed(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    console.print(f"  {name:16} done after  {time.monotonic() - began:4.1f} s")


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
