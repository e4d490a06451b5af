"""A temporary copy of the stack for one command: it is removed afterwards, whatever happens."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from deploy.local.lifecycle import StackError, console, down, up
from deploy.local.stack import ROOT, Stack


def run_with_stack(stack: Stack, command: list[str], *, keep: bool) -> int:
    """Run `command` with the path of stack.json in STACK_FILE; returns its exit code.

    With `keep`, a failure leaves the stack running for inspection; the next run removes it.
    """
    with _only_one(stack), signals_as_exit():
        _remove(stack)
        code = 1
        try:
            up(stack)
            code = _run(stack, command)
        finally:
            if keep and code != 0:
                console.print(f"kept for inspection: {stack.data}")
            else:
                _remove(stack)
        return code


def _run(stack: Stack, command: list[str]) -> int:
    environment = os.environ | {"STACK_FILE": str(stack.stackfile)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    process.kill()
    process.wait()


def _remove(stack: Stack) -> None:
    """Stop and delete the stack, also one that a killed run has left."""
    down(stack)
    if stack.socket.parent != stack.data:
        shutil.rmtree(stack.socket.parent, ignore_errors=True)
    shutil.rmtree(stack.data, ignore_errors=True)


@contextmanager
def _only_one(stack: Stack) -> Iterator[None]:
    """Lock the stack's name while the command runs."""
    path = Path(f"{stack.data}.lock")
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"another command runs with the stack {stack.name!r} of this folder; wait for it"
            ) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Exit on SIGTERM and SIGHUP, so that the stack is removed as after Ctrl-C."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
