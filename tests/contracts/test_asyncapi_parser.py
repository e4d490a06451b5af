"""The AsyncAPI document is read by the official parser."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from contracts import EVENTS
from contracts.files import FILES
from tests.support.node import needs_node, with_packages

pytestmark = needs_node


@pytest.fixture(scope="module")
def parser() -> Path:
    return with_packages(Path(__file__).parent / "asyncapi") / "validate.mjs"


def judged(parser: Path, document: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", parser, document], capture_output=True, text=True, check=False, timeout=60)


def test_the_official_parser_finds_nothing_wrong_and_every_event(parser: Path) -> None:
    verdict = judged(parser, FILES / "asyncapi.yaml")
    assert (verdict.returncode, verdict.stdout) == (0, f"{len(EVENTS)} messages\n"), verdict.stderr


def test_the_official_parser_would_find_a_channel_without_its_message(parser: Path, tmp_path: Path) -> None:
    shutil.copytree(FILES / "schemas", tmp_path / "schemas")
    document = yaml.safe_load((FILES / "asyncapi.yaml").read_text())
    del document["components"]["messages"]["records.record.changed.v1"]
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(document))
    verdict = judged(parser, tmp_path / "broken.yaml")
    assert verdict.returncode == 1
    assert "records.record.changed.v1" in verdict.stdout
