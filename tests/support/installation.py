"""What an installation consists of, read from the files that deploy it: image, compose file, secrets, chart."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import yaml
from pydantic_settings import BaseSettings

from services.notify.templates import CATALOGUE
from services.portal.settings import ServiceName
from tests.support.setting_names import ROOT, settings_of

OUR_IMAGE = "practitioner-portal:"
SITE = "portal.example.cn"
_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
RECIPIENTS = '["age1jtsxjqjc33z0mgscc7f823sys7p22c7crpesft3fcl6g2x5awgtscraqz7"]'
_SITE, _RECIPIENTS = (re.compile(rf"\$\{{{name}:\?[^}}]*\}}") for name in ("SITE", "BACKUP_RECIPIENTS"))


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile: `COPY`, and its arguments."""

    word: str
    rest: str


def dockerfile() -> list[Instruction]:
    text = (ROOT / "deploy/Dockerfile").read_text()
    lines = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]


@dataclass(frozen=True)
class Composed:
    """A service of docker-compose.yml: one container."""

    name: str
    given: dict[str, Any]

    @property
    def ours(self) -> bool:
        return str(self.given["image"]).startswith(OUR_IMAGE)

    @property
    def job(self) -> bool:
        """Whether it runs once and ends."""
        return bool(self.given["restart"] == "no")

    @property
    def service(self) -> str:
        """The service of ours that it runs: `records` for `services.records`."""
        return str(self.given["command"][0]).removeprefix("services.")

    @property
    def environment(self) -> dict[str, str]:
        """The variables; a name without a value is set only by a .env file, and left out."""
        return {name: value for name, value in self.given.get("environment", {}).items() if value is not None}

    @property
    def networks(self) -> set[str]:
        return set(self.given.get("networks", []))

    @property
    def mounts(self) -> dict[str, str]:
        """Files and folders of this machine (not volumes), with their places in the container."""
        pairs = [str(each).split(":") for each in self.given.get("volumes", [])]
        return {source: target for source, target, *_ in pairs if source.startswith("./")}


def compose() -> dict[str, Composed]:
    """The compose file with the shortest possible .env: all variables but two have their defaults."""
    text = _DEFAULT.sub(r"\1", (ROOT / "docker-compose.yml").read_text())
    text = _RECIPIENTS.sub(f"'{RECIPIENTS}'", _SITE.sub(SITE, text)).replace("$$", "$")
    return {name: Composed(name, given) for name, given in yaml.safe_load(text)["services"].items()}


def processes() -> dict[str, Composed]:
    """The containers that run our services."""
    return {name: each for name, each in of_services().items() if not each.job}


def migrations() -> dict[str, Composed]:
    """The containers that change a service's documents before it starts."""
    return {name: each for name, each in of_services().items() if each.job}


def of_services() -> dict[str, Composed]:
    return {name: each for name, each in compose().items() if each.ours and each.given["command"][0] != each.service}


def make_secrets(folder: Path, *options: str) -> str:
    """Runs `deploy/secrets.sh`. Returns its output."""
    script = [str(ROOT / "deploy/secrets.sh"), str(folder), *options]
    return subprocess.run(script, check=True, capture_output=True, text=True).stdout


def process_settings(name: str, environment: Mapping[str, str], secrets: Path) -> BaseSettings:
    """The settings of a process, read from this environment and the files that it gets."""
    service = name.rpartition("-")[0]
    own = secrets / "principals" / name
    here = {variable: re.sub(r"^/run/(principal|tls)/", f"{own}/", value) for variable, value in environment.items()}
    if "WINDOWS" in here:
        here["WINDOWS"] = str(ROOT / "deploy/windows.yaml")
    with patch.dict(os.environ, here, clear=True):
        return settings_of(service)(_secrets_dir=[secrets / service, own])


def fill_in_sms_accounts(folder: Path) -> None:
    """Fills in the accounts with the carriers, as an operator does."""
    for name in ("tencent", "aliyun"):
        path = folder / "notify" / name
        filled = {"sign_name": "上海建筑业", "templates": dict.fromkeys(CATALOGUE, "1")}
        path.write_text(json.dumps(json.loads(path.read_text()) | filled))


def chart_environment(service: str) -> Mapping[str, str]:
    """The environment from the chart's values, without helm: the templates in them are replaced by samples."""
    values = yaml.safe_load((ROOT / "deploy/helm/values.yaml").read_text())
    given = values["env"] | values["services"][service]["env"]
    apis = dict.fromkeys(get_args(ServiceName), "https://sample")
    samples = {"include": json.dumps(apis), "partitions": "24", "readerOrigin": "", "windows": ""}

    def sample(template: re.Match[str]) -> str:
        return next((value for word, value in samples.items() if word in template[0]), "sample")

    filled = {name: re.sub(r"\{\{.*?\}\}", sample, str(value)) for name, value in given.items()}
    return {name: value for name, value in filled.items() if value}
