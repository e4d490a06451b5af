"""A cluster's sandbox: namespaces for network, mounts and processes, in which everything of the cluster runs.

Nothing in it can reach another network; that of a lasting sandbox can be reached from this machine. When its first
process ends, however that happens, the kernel ends every other process in it, and its networks and mounts are gone.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local import network
from deploy.local.stack import ROOT, Stack

_INSIDE = "PORTAL_SANDBOX"
_UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_DIES_WITH_US = ("setpriv", "--pdeathsig", "SIGKILL")
# namespaces have names, which are files: they must be the sandbox's own
_OWN_NAMES = "mkdir -p /run/netns && mount -t tmpfs names /run/netns"


def is_inside() -> bool:
    return bool(os.environ.get(_INSIDE))


def is_possible() -> bool:
    """Return whether this machine permits one: it needs root, and Linux's namespaces."""
    return bool(shutil.which("unshare")) and subprocess.run([*_UNSHARE, "true"], check=False).returncode == 0


def run(stack: Stack, command: Sequence[str]) -> int:
    """Run a command in a sandbox of its own; returns its exit code. No process or network of it is left afterwards.

    When this process is asked to end, so is the command, which may clean up.
    """
    inside = [*_DIES_WITH_US, *_UNSHARE, "sh", "-c", f'{_OWN_NAMES} && exec "$@"', "sh", *command]
    process = subprocess.Popen(inside, cwd=ROOT, env=_environment(stack))
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            for child in _children(process.pid):
                os.kill(child, signal.SIGTERM)
            process.wait()


def enter(stack: Stack, command: Sequence[str]) -> int:
    """Run a command in the stack's lasting sandbox, which is made if it isn't there; returns its exit code."""
    pid = _first_process(stack) or _start(stack)
    inside = ["nsenter", "--target", str(pid), "--mount", "--net", "--pid", "env", f"--chdir={ROOT}"]
    return subprocess.run([*inside, *command], cwd=ROOT, env=_environment(stack), check=False).returncode


def leave(stack: Stack) -> None:
    """End the lasting sandbox, with all that runs in it."""
    if pid := _first_process(stack):
        os.kill(pid, signal.SIGKILL)
    _pid_file(stack).unlink(missing_ok=True)


def _environment(stack: Stack) -> dict[str, str]:
    return os.environ | {_INSIDE: stack.name}


def _pid_file(stack: Stack) -> Path:
    return stack.data / "sandbox.pid"


def _first_process(stack: Stack) -> int:
    """Return the pid, outside, of the sandbox's first process; 0 if there is none."""
    try:
        pid = int(_pid_file(stack).read_text())
        return pid if _network(str(pid)) != _network("self") else 0
    except (OSError, ValueError):
        return 0


def _network(process: str) -> Path:
    return Path(f"/proc/{process}/ns/net").readlink()


def _start(stack: Stack) -> int:
    stack.make_folders()
    waits = f"{_OWN_NAMES} && touch {{ready}} && while :; do sleep 3600 & wait; done"
    ready = stack.data / "sandbox.ready"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*_UNSHARE, "sh", "-c", waits.format(ready=ready)],
        env=_environment(stack), start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 10
    while not ready.exists():
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError("the sandbox could not be made: it needs root, and Linux's namespaces")
        time.sleep(0.02)
    (child,) = _children(process.pid)
    _pid_file(stack).write_text(str(child))
    network.open_door(child)
    return child


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def this_command() -> list[str]:
    """Return the command line of this process, to run it again inside."""
    return [sys.executable, "-m", "deploy.local", *sys.argv[1:]]
