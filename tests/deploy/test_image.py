"""deploy/Dockerfile without Docker: the copied files exist, the commands start."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit.settings import HttpSettings, InternalSettings
from tests.support.installation import dockerfile
from tests.support.scale import LONG
from tests.support.setting_names import ROOT, SERVICES, roles

TOOLS = ("access", "alerts", "backup", "logs", "server_exporter")
NOWHERE = "/proc/nowhere"  # not even root can create a folder there
OF_DEVELOPERS = {"contracts.files"}  # `python -m contracts` compares schemas, which no service does
PROCESSES = [(service, role) for service in SERVICES for role in roles(service)]


def instructions(word: str) -> list[str]:
    return [each.rest for each in dockerfile() if each.word == word]


def copied() -> list[str]:
    """The files copied from the repository, not from another stage."""
    return [source for rest in instructions("COPY") if "--from" not in rest for source in rest.split()[:-1]]


def run(python: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as in the image: only these settings, no home, nothing of this machine's environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": NOWHERE, "PYTHONDONTWRITEBYTECODE": "1", **settings}
    return subprocess.run([python, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def refuses_to_start_without_settings(python: str, *arguments: str) -> None:
    result = run(python, "-m", *arguments)
    assert result.returncode == 1
    assert "settings are missing or wrong" in result.stderr
    assert "Traceback" not in result.stderr


def test_it_is_built_from_a_pinned_image_and_hashed_packages() -> None:
    (image,) = [each for each in instructions("ARG") if each.startswith("PYTHON=")]
    assert re.search(r":\d+\.\d+\.\d+-", image)
    assert {rest.split()[0] for rest in instructions("FROM")} == {"${PYTHON}"}
    assert any("--require-hashes -r run.txt" in rest for rest in instructions("RUN"))


def test_the_copied_files_exist_and_are_not_ignored() -> None:
    let_in = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    assert all((ROOT / source).exists() for source in copied())
    assert {line[1:] for line in let_in if line.startswith("!")} == set(copied())


def test_it_has_the_fonts_and_rsyslog_of_the_setup_script() -> None:
    packages = r"(?:fonts|rsyslog)(?:-[\w-]+)?"
    needed = set(re.findall(f"echo ({packages})", (ROOT / "deploy/local/setup.sh").read_text()))
    assert {"rsyslog", "rsyslog-relp", "fonts-noto-cjk"} <= needed
    assert needed <= set(re.findall(f" ({packages})", " ".join(instructions("RUN"))))


def test_it_runs_unprivileged_and_is_probed_at_its_health_port() -> None:
    assert instructions("USER") == ["10001:10001"]
    (check,) = instructions("HEALTHCHECK")
    assert f":{InternalSettings().port}/readyz" in check
    assert instructions("EXPOSE") == [f"{HttpSettings().port} {InternalSettings().port}"]
    assert instructions("ENTRYPOINT") == ['["python", "-m"]']


def test_the_health_check_fails_when_nothing_answers(secrets: Path) -> None:
    (check,) = instructions("HEALTHCHECK")
    words = json.loads(check.partition("CMD ")[2])
    assert words[0] == "python"
    authority = str(secrets / "trust/ca.crt")
    result = run(sys.executable, *[word.replace(":9000", ":1") for word in words[1:]], TLS__CA=authority)
    assert result.returncode != 0
    assert "Connection refused" in result.stderr


@pytest.mark.parametrize(("service", "role"), PROCESSES)
def test_a_process_without_settings_names_the_missing_ones(service: str, role: str) -> None:
    refuses_to_start_without_settings(sys.executable, f"services.{service}", role)


def test_the_tools_of_the_image_start_too() -> None:
    refuses_to_start_without_settings(sys.executable, "deploy.alerts")
    refuses_to_start_without_settings(sys.executable, "deploy.server_exporter")
    refuses_to_start_without_settings(sys.executable, "kit.kafka.topics", "apply")
    refuses_to_start_without_settings(sys.executable, "kit.kafka.dead_letters", "list", "notify.requests")
    refuses_to_start_without_settings(sys.executable, "deploy.access", "apply")
    refuses_to_start_without_settings(sys.executable, "deploy.backup", "schedule")
    refuses_to_start_without_settings(sys.executable, "deploy.logs", "ship")
    refuses_to_start_without_settings(sys.executable, "deploy.logs", "receive")


@pytest.mark.skipif(not LONG, reason="installs all packages anew: LONG=1")
def test_everything_runs_with_the_packages_of_the_image_alone(tmp_path: Path) -> None:
    """The product imports none of the packages that only tests need."""
    uv, python = f"{ROOT}/.venv/bin/uv", f"{tmp_path}/packages/bin/python"
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, f"{tmp_path}/packages"], check=True)
    install = [uv, "pip", "install", "-q", "--python", python, "--no-deps", "--require-hashes"]
    subprocess.run([*install, "-r", "requirements/run.txt"], check=True, cwd=ROOT)
    files = [
        path
        for folder in ("kit", "contracts", "services", *(f"deploy/{name}" for name in TOOLS))
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files if path.stem != "__main__"}
    needed = sorted(modules - OF_DEVELOPERS)
    result = run(python, "-c", f"import importlib; [importlib.import_module(name) for name in {needed}]")
    assert result.returncode == 0, result.stderr
    for service, role in PROCESSES:
        refuses_to_start_without_settings(python, f"services.{service}", role)
