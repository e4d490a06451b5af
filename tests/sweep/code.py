"""The code that instances run: each has a link to a checkout, which is changed while the instance is stopped."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from deploy.local.layout import Instance
from deploy.local.stack import ROOT
from tests.support.stack import RunningStack


def checkout(stack: RunningStack, revision: str, name: str) -> Path:
    """Unpack a revision into the stack's folder, and compile it. It runs with the Python packages of this checkout."""
    folder = stack.plan.data / "code" / f"checkout-{name}"
    folder.mkdir()
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "kit", "contracts", "services"], cwd=folder, check=True)
    return folder


async def run_code(stack: RunningStack, instances: Iterable[Instance], code: Path) -> None:
    """Stop the instances, and start them with this code; does not wait until they are ready."""
    chosen = list(instances)
    names = [each.name for each in chosen]
    await asyncio.to_thread(stack.supervisor.stop, *names)
    for instance in chosen:
        link = stack.plan.code_of(instance)
        link.unlink()
        link.symlink_to(code)
    await asyncio.to_thread(stack.supervisor.start, *names)
