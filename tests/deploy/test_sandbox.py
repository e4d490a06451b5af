"""The sandbox of a cluster: nothing of a run is left, however the run ends. Needs root, like the cluster itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import sandbox
from deploy.local.stack import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not sandbox.is_possible(), reason="a sandbox needs root, and Linux's namespaces")
NAMESPACE = "left-behind"
DAEMON = f"""
ip netns add {NAMESPACE}
setsid sleep 987654 </dev/null >/dev/null 2>&1 &
touch "$1"
sleep 987654
"""
RUN = """
import sys
from deploy.local import sandbox
from deploy.local.stack import Stack
sandbox.run(Stack.named("sweep"), ["sh", "-c", sys.argv[1], "sh", sys.argv[2]])
"""


def sleepers() -> list[str]:
    found = subprocess.run(["pgrep", "-f", "^sleep 987654$"], capture_output=True, text=True, check=False)
    return found.stdout.split()


def namespaces() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


async def test_nothing_is_left_after_a_kill_of_the_run_itself(tmp_path: Path) -> None:
    started = tmp_path / "started"
    run = subprocess.Popen([sys.executable, "-c", RUN, DAEMON, str(started)], cwd=ROOT)

    async def both_run() -> bool:
        return started.exists() and len(sleepers()) == 2

    async def none_runs() -> bool:
        return not sleepers()

    try:
        await eventually(both_run, 10, "a program and a daemon run in the sandbox")
        run.send_signal(signal.SIGKILL)
        await eventually(none_runs, 10, "the kernel has ended both")
    finally:
        run.kill()
        run.wait()
    assert NAMESPACE not in namespaces()
