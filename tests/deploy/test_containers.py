"""What `make containers` runs, as far as files show it: stand-ins for the images of others, and an installation."""

import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from deploy.containers import __main__ as program
from deploy.containers.images import HERE, LEFT_OUT, of_others
from deploy.containers.installation import START_INTERVAL, Installation
from deploy.local.sms_carrier import aliyun, tencent
from services.notify.settings import Settings
from tests.support.installation import compose, process_settings
from tests.support.setting_names import ROOT

PYTHON = next(image for image in of_others() if "/python:" in image)
STAND_INS = sorted(path.name for path in (HERE / "images").iterdir())


def override() -> dict[str, dict[str, object]]:
    text = (HERE / "override.yaml").read_text().replace("!reset ", "")
    services: dict[str, dict[str, object]] = yaml.safe_load(text)["services"]
    return services


def test_each_image_of_others_has_a_stand_in_but_those_left_out() -> None:
    assert sorted(of_others().values()) == STAND_INS
    named = {name: str(each.given["image"]) for name, each in compose().items() if not each.ours}
    assert {image for name, image in named.items() if name not in LEFT_OUT} == of_others().keys() - {PYTHON}
    assert named.keys() >= LEFT_OUT


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_names_its_source_and_what_is_different(name: str) -> None:
    text = (HERE / "images" / name / "Dockerfile").read_text()
    head = " ".join(line.removeprefix("# ") for line in text.partition("FROM")[0].splitlines())
    assert re.match(r"Stand-in for \S+.*, as [\w-]+/[\w-]+, \S*Dockerfile\S*, describes it: .* Different: ", head)


def test_only_what_this_docker_lacks_is_changed() -> None:
    changed = override()
    assert changed.keys() - compose().keys() == {"sms-carrier"}
    assert {name for name, each in changed.items() if "profiles" in each} == LEFT_OUT
    assert changed["mongo"] == {"healthcheck": {"start_interval": None}}
    assert changed["mongo-init"].keys() == {"build"}
    assert START_INTERVAL in (ROOT / "deploy/Dockerfile").read_text()


def test_every_published_port_must_be_free() -> None:
    published = [
        port for each in compose().values() if each.name not in LEFT_OUT for port in each.given.get("ports", [])
    ]
    assert {int(port.split(":")[-2]) for port in published} == set(program.PORTS)


def test_notify_and_the_simulated_carriers_have_the_same_accounts(tmp_path: Path) -> None:
    made = Installation.fresh(tmp_path / "installation", tmp_path)
    settings = process_settings("notify-worker", compose()["notify-worker"].environment, made.secrets)
    assert isinstance(settings, Settings)
    assert settings.tencent
    assert settings.aliyun
    simulated = dict(line.partition("=")[::2] for line in (made.folder / "sms-carrier.env").read_text().splitlines())
    with patch.dict(os.environ, {}, clear=True):
        one = tencent.Account.model_validate_json(simulated["SMS_OPERATOR_TENCENT"].strip("'"))
        other = aliyun.Account.model_validate_json(simulated["SMS_OPERATOR_ALIYUN"].strip("'"))
    assert (settings.tencent.sign_name, settings.aliyun.sign_name) == (one.sign_name, other.sign_name)
    assert settings.tencent.secret_key.get_secret_value() == one.secret_key
    assert settings.aliyun.access_key_secret.get_secret_value() == other.access_key_secret
    assert settings.tencent.endpoint == settings.aliyun.endpoint == "sms-carrier:8000"
