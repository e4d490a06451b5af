"""Every alert fires when it should, only then, and has a runbook page."""

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.prometheus import RULES
from deploy.local.stack import ROOT
from tests.watching.alerts import CASES, Case, Series

PAGES = ROOT / "docs" / "runbooks"
HEADINGS = ["What it means", "What people notice", "How to investigate", "What to do"]
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule | {"file": path}
    for path in RULES.glob("*.yaml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
PAGE_OF = {path.stem: path for path in PAGES.glob("*.md") if path.stem != "README"}

with_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")


def test_every_alert_has_a_case() -> None:
    assert set(ALERTS) == {case.alert for case in CASES}


@with_promtool
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_fires_when_it_should_and_only_then(case: Case, tmp_path: Path) -> None:
    annotations = {"summary": case.summary, "runbook": f"docs/runbooks/{case.alert}.md"}
    expected = [{"exp_labels": dict(case.labels), "exp_annotations": annotations}]
    file_content = {
        "rule_files": [str(ALERTS[case.alert]["file"])],
        "evaluation_interval": case.step,
        "tests": [
            promtool_test(case, case.fires, expected),
            *([] if case.quiet is None else [promtool_test(case, case.quiet, [])]),
        ],
    }
    file = tmp_path / f"{case.alert}.json"
    file.write_text(json.dumps(file_content))  # JSON is YAML
    result = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def promtool_test(case: Case, series: Series, expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": case.step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
    }


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {name: rule["annotations"]["runbook"] for name, rule in ALERTS.items()} == {
        name: path.relative_to(ROOT).as_posix() for name, path in PAGE_OF.items()
    }
    listed = re.findall(r"\((\w+)\.md\)", (PAGES / "README.md").read_text())
    assert sorted(listed) == sorted(PAGE_OF)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_has_its_four_headings(name: str) -> None:
    text = PAGE_OF[name].read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert ALERTS[name]["labels"]["severity"] in (("none",) if name == "Watchdog" else ("critical", "warning"))


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_names_only_commands_and_metrics_that_exist(name: str) -> None:
    text = PAGE_OF[name].read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)", text)) <= targets
    assert all(find_spec(module) for module in re.findall(r"python -m ([\w.]+)", text))
    assert all((PAGES / link).exists() for link in re.findall(r"\]\((?!http)([^)#]+)", text))
