"""deploy/secrets.sh: random, complete, never replaced."""

import json
import os
from base64 import urlsafe_b64decode
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from deploy.access.principals import principals
from deploy.alerts.channels import channels
from deploy.alerts.settings import AlertSettings
from tests.support.installation import compose, make_secrets
from tests.support.setting_names import SERVICES, names_in_file, names_of, settings_of

WITHOUT_USER = '{"url": "rediss://redis:6379/0"}'
ALERTS = {"wecom", "dingtalk", "mail", "heartbeat"}


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_existing_secrets_stay_and_missing_ones_are_created(tmp_path: Path) -> None:
    make_secrets(tmp_path / "a")
    before = texts(tmp_path / "a")
    (tmp_path / "a/identity/codes").unlink()
    make_secrets(tmp_path / "a")
    after = texts(tmp_path / "a")
    assert {name for name in before if before[name] != after[name]} == {"identity/codes"}


def test_another_password_is_written_wherever_the_old_one_was(tmp_path: Path) -> None:
    """And nowhere else: an address that an operator has changed stays."""
    folder = tmp_path / "a"
    make_secrets(folder)
    url = folder / "principals/records-api/mongo"
    url.write_text(url.read_text().replace("mongo:27017", "mongo.example.cn"))
    before, old = texts(folder), json.loads((folder / "access/passwords").read_text())["records-api"]
    make_secrets(folder, "--rotate", "records-api")
    after, new = texts(folder), json.loads((folder / "access/passwords").read_text())["records-api"]
    assert old != new
    assert not [name for name, text in after.items() if old in text]
    files = {f"principals/records-api/{name}" for name in ("mongo", "redis", "blobs")}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == files | {"access/passwords", "redis/users.acl", "s3/s3.json"}
    assert f"records-api:{new}@mongo.example.cn" in after["principals/records-api/mongo"]


def test_every_principal_has_the_files_of_the_servers_that_it_may_use(secrets: Path) -> None:
    for name, principal in principals().items():
        files = {path.name for path in (secrets / "principals" / name).iterdir()}
        assert ("kafka" in files) == bool(principal.kafka)
        assert ("mongo" in files) == bool(principal.mongo or principal.cluster)
        assert ("blobs" in files) == bool(principal.buckets)
        serves = bool(principal.service) or name in ("backup", "monitoring")
        assert ("tls.key" in files) == serves, "only processes serve anything"
    address = json.loads((secrets / "principals/records-worker/redis").read_text())["url"]
    assert address == "rediss://redis:6379/0", "a worker that does not use Redis has no user there"


def test_the_key_of_the_authority_is_in_no_folder_that_is_mounted(secrets: Path) -> None:
    key = (secrets / "authority/ca.key").read_text()
    assert [name for name, text in texts(secrets).items() if key in text] == ["authority/ca.key"]
    assert not [each for each in compose().values() if any("authority" in source for source in each.mounts)]


def test_no_two_installations_have_a_secret_in_common(tmp_path: Path) -> None:
    make_secrets(tmp_path / "a")
    make_secrets(tmp_path / "b")
    one, other = texts(tmp_path / "a"), texts(tmp_path / "b")
    assert one.keys() == other.keys()
    same = {name for name in one if one[name] == other[name] and one[name] != WITHOUT_USER}
    assert same == {f"alerts/{name}" for name in ALERTS}, "to be filled in"


def test_the_empty_channels_of_alerts_are_read_and_off(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    settings = AlertSettings(_secrets_dir=tmp_path / "alerts", site="portal.example.cn")
    assert {path.name for path in (tmp_path / "alerts").iterdir()} == ALERTS <= AlertSettings.model_fields.keys()
    assert channels(settings, httpx2.AsyncClient()) == {}
    assert settings.heartbeat.url.get_secret_value() == ""


def test_only_the_owner_and_containers_can_read(secrets: Path) -> None:
    assert secrets.stat().st_mode & 0o777 == 0o700
    mounted = [path for path in secrets.rglob("*") if "authority" not in path.parts]
    assert {path.stat().st_mode & 0o444 for path in mounted} == {0o444}
    assert {path.stat().st_mode & 0o777 for path in secrets.rglob("ca.key")} == {0o600}


def test_the_script_names_only_existing_settings(secrets: Path) -> None:
    for service in SERVICES:
        folders = [secrets / service, *(secrets / "principals").glob(f"{service}-*")]
        for path in (each for folder in folders for each in folder.iterdir() if not each.suffix):
            assert names_in_file(path.name, json.loads(path.read_text())) <= names_of(service).keys()


def test_services_that_share_a_key_have_the_same(secrets: Path) -> None:
    assert (secrets / "identity/bus").read_bytes() == (secrets / "notify/bus").read_bytes()
    seals = [json.loads(path.read_text()) for path in secrets.glob("*/seal")]
    assert len({seal["keys"]["k1"] for seal in seals}) == len(seals)


@pytest.mark.parametrize("use", ["signing", "audit"])
def test_the_signing_key_is_a_pair(secrets: Path, use: str) -> None:
    """The published public half verifies signatures of the private one."""
    (key,) = json.loads((secrets / "identity" / use).read_text())["keys"]
    private = Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(key["d"] + "="))
    assert urlsafe_b64decode(key["x"] + "=") == private.public_key().public_bytes_raw()


def test_until_the_carriers_accounts_are_filled_in_notify_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "notify/tencent" in make_secrets(tmp_path / "a")
    for name in os.environ:
        monkeypatch.delenv(name)
    with pytest.raises(ValidationError) as refused:
        settings_of("notify")(_secrets_dir=tmp_path / "a/notify")
    assert {("tencent", "sign_name"), ("aliyun", "templates")} <= {each["loc"] for each in refused.value.errors()}
