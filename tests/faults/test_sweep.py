"""The shortest sweep, in a cluster of its own beside the stack: every kind of fault once, and nothing violated."""

import asyncio
import re
import shutil
import sys

import pytest

from deploy.local import sandbox
from deploy.local.stack import ROOT

pytestmark = pytest.mark.skipif(
    not sandbox.is_possible() or not shutil.which("haproxy"), reason="a cluster needs root, and `setup.sh --cluster`"
)
SWEEP = ["--mix", "all", "--minutes", "1", "--rate", "8"]
LASTS_AT_MOST = 1_200
"""Most of it is the start of 40 programs beside the stack of the other tests."""


async def test_a_minute_of_faults_violates_nothing() -> None:
    command = [sys.executable, "-m", "deploy.local", "run-with-stack", "--name", "sweep", "--"]
    process = await asyncio.create_subprocess_exec(
        *command, sys.executable, "-m", "tests.sweep", *SWEEP, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(LASTS_AT_MOST):
        output = (await process.communicate())[0].decode()
    print(output)
    assert process.returncode == 0, output
    last = re.search(r"(\d+) faults, (\d+) acknowledged writes, 0 violations", output)
    assert last, output
    faults, acknowledged = map(int, last.groups())
    assert faults >= 3
    assert acknowledged >= 50
