"""docs/subscribing.md, executed literally: its shell blocks in order, in a folder beside a copy of the examples."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.local.stack import ROOT
from tests.examples.conftest import Downstream, Source, login
from tests.support.node import needs_node
from tests.support.pages import blocks
from tests.support.people import Person
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

DONE_WITHIN = 300


@pytest.fixture
def clone(stack: RunningStack, tmp_path: Path) -> Path:
    """The parts of a clone that the page needs: the examples and the running stack's stack.json."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("node_modules"))
    (folder / ".local").mkdir()
    (folder / ".local" / "stack.json").write_text(json.dumps(stack.facts))
    return folder


async def follow_page(heading: str, folder: Path) -> str:
    """Runs the heading's blocks as one script that ends at the first failing command. Returns its output."""
    script = ["bash", "-euo", "pipefail", "-c", blocks("subscribing.md", heading)]
    done = await asyncio.to_thread(
        subprocess.run, script, cwd=folder, capture_output=True, text=True, check=False, timeout=DONE_WITHIN
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_following_the_page_gives_the_whole_table(
    stack: RunningStack, clone: Path, source: Source, person: Person
) -> None:
    await person.created()
    expected = await source.records([person])
    theirs = Downstream(clone.parent / "my-subscriber", stack.kafka.servers, login(stack))

    async def has_it() -> bool:
        return theirs.records([person]) == theirs.records([person], "since-november.db") == expected

    assert "up to date" in await follow_page("Run one", clone)
    if not await has_it():  # the last writes may not have arrived yet
        await theirs.once()
        await theirs.once("since-november.db")
    await eventually(has_it, 1, "both tables hold the record")


@needs_node
async def test_following_the_page_with_node_gives_records(clone: Path) -> None:
    await follow_page("In another language", clone)
    file = clone.parent / "my-subscriber-node" / "records.json"
    records: Mapping[str, dict[str, object]] = json.loads(file.read_text())["records"]
    assert {"version", "practitioner_id", "kind", "state", "data"} == set(next(iter(records.values())))
