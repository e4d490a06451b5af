"""docker-compose.yml without Docker: it matches its schema, its settings exist, its services fit together."""

import json
import os
import re
import subprocess
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography.x509 import DNSName, SubjectAlternativeName, load_pem_x509_certificate

from deploy.backup.plan import WITH_BUCKET
from deploy.backup.settings import DumpSettings
from deploy.local.servers import gateway_environment
from deploy.local.stack import Stack
from deploy.logs.lines import TAG
from deploy.logs.settings import ReceiveSettings, ShipSettings
from kit.security.trail import TrailSettings
from kit.settings import InternalSettings, S, ToolSettings
from services.portal.settings import ServiceName
from tests.support.installation import (
    OUR_IMAGE,
    Composed,
    compose,
    dockerfile,
    migrations,
    process_settings,
    processes,
)
from tests.support.setting_names import ROOT, SERVICES, names_of, roles, secret_names, settings_of

# where each server listens: the first three are their own defaults
LISTENS = {"mongo": 27017, "redis": 6379, "prometheus": 9090, "kafka": 9092, "s3": 8333}
SECRETS_DIR = "SECRETS_DIR"
EXACT = r":v?\d+\.\d+\.\d+$|seaweedfs:\d+\.\d+$"  # SeaweedFS has no third number
every_container = pytest.mark.parametrize("container", compose().values(), ids=compose())
every_process = pytest.mark.parametrize("process", processes().values(), ids=processes())
every_migration = pytest.mark.parametrize("migration", migrations().values(), ids=migrations())


def started(process: Composed, secrets: Path) -> dict[str, Any]:
    """The settings of a process, read from the environment and the secrets that compose provides."""
    return process_settings(process.name, process.environment, secrets).model_dump()


def ports_of(settings: dict[str, Any]) -> set[int]:
    """The ports on which a process of ours listens: API and internal."""
    return {settings["http"]["port"], settings["internal"]["port"]}


def test_it_matches_the_compose_schema() -> None:
    check = [f"{ROOT}/.venv/bin/check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    result = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_every_process_of_every_service_is_there() -> None:
    commands = {name: each.given["command"] for name, each in processes().items()}
    assert commands == {f"{name}-{role}": [f"services.{name}", role] for name in SERVICES for role in roles(name)}


def test_every_service_with_a_database_is_migrated_before_it_starts() -> None:
    assert migrations().keys() == {f"{name}-migrate" for name in SERVICES if "mongo" in settings_of(name).model_fields}
    for name, process in processes().items():
        waits = process.given["depends_on"].keys()
        assert {each for each in waits if each.endswith("-migrate")} == migrations().keys() & {
            f"{process.service}-migrate"
        }, name


@every_migration
def test_a_migration_has_the_settings_and_secrets_of_its_service(migration: Composed) -> None:
    process = processes()[f"{migration.service}-worker"]
    assert migration.given["command"] == [f"services.{migration.service}", "migrate"]
    assert (migration.environment, migration.mounts) == (process.environment, process.mounts)
    assert migration.networks == {"inside"}


@every_process
def test_a_process_finds_every_setting_and_its_own_secrets(process: Composed, secrets: Path) -> None:
    assert started(process, secrets)["environment"] == "production"
    keys, logins = process.environment[SECRETS_DIR].split(":")
    mounts = process.mounts
    assert mounts.pop("./deploy/windows.yaml", None) == process.environment.get("WINDOWS")
    assert mounts == {f"./secrets/{process.service}": keys, f"./secrets/principals/{process.name}": logins}


@every_process
def test_a_container_gets_only_settings_that_it_reads(process: Composed) -> None:
    assert process.environment.keys() - {SECRETS_DIR} <= names_of(process.service).keys()


def test_the_tool_for_topics_has_the_settings_of_the_publishers(secrets: Path) -> None:
    tool = compose()["topics"]
    own = secrets / "principals/topics"
    with patch.dict(os.environ, tool.environment | {"TLS__CA": str(own / "ca.crt")}, clear=True):
        settings = ToolSettings(_secrets_dir=own).kafka
    assert settings.user == "topics"
    publishers = [started(each, secrets) for each in processes().values() if "worker" in each.name]
    assert publishers
    assert {each["kafka"]["partitions"] for each in publishers} == {settings.partitions}
    assert {each["kafka"]["servers"] for each in publishers} == {settings.servers}


@every_container
def test_no_secret_is_in_the_environment(container: Composed) -> None:
    hidden = secret_names(container.service) if container.name in processes() else set()
    suspicious = {name for name in container.environment if re.search(r"PASSWORD|SECRET|_KEY|TOKEN_", name)}
    assert not hidden & container.environment.keys()
    assert {name for name in suspicious if not name.endswith("__FILE")} <= {SECRETS_DIR, "TLS__KEY"}


@every_container
def test_a_container_is_restricted(container: Composed) -> None:
    given = container.given
    assert re.search(EXACT, given["image"]), "not pinned"
    assert given["read_only"]
    assert (given["cap_drop"], given["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert given["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    if container.name == "trail":  # reads what is root's alone
        assert (given["user"], given["network_mode"], given.get("cap_add")) == ("0:0", "none", None)
        assert [volume for volume in given["volumes"] if not volume.endswith(":ro")] == ["trail:/kept"]
    elif container.name == "log-shipper":
        assert (given["user"], container.networks, given.get("cap_add")) == ("0:0", {"inside", "outside"}, None)
        assert [volume for volume in given["volumes"] if not volume.endswith(":ro")] == ["log-positions:/positions"]
        assert "ports" not in given
    elif given["user"] == "0:0":  # hands a folder over, and ends
        assert (container.job, given["network_mode"], given["cap_add"]) == (True, "none", ["CHOWN"])
    else:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", given["user"])


def test_the_backup_finds_every_setting_and_reads_what_it_may(secrets: Path) -> None:
    backup = compose()["backup"]
    own = secrets / "principals/backup"
    tls = {name: str(own / Path(value).name) for name, value in backup.environment.items() if name.startswith("TLS__")}
    given = {name: value for name, value in backup.environment.items() if name != SECRETS_DIR} | tls
    with patch.dict(os.environ, given, clear=True):
        settings = DumpSettings(_secrets_dir=own)
    assert {name.split("__")[0].lower() for name in given} <= DumpSettings.model_fields.keys()
    assert backup.mounts == {"./secrets/principals/backup": backup.environment[SECRETS_DIR]}
    assert {f"backup:{settings.backup.folder}"} == {each for each in backup.given["volumes"] if ":ro" not in each}
    assert {urlsplit(settings.blobs.endpoint).hostname, "mongo"} <= reachable_servers(backup)
    identities = json.loads((secrets / "s3/s3.json").read_text())["identities"]
    (reader,) = [each for each in identities if each["name"] == "backup"]
    assert set(reader["actions"]) == {f"{action}:{name}" for action in ("List", "Read") for name in WITH_BUCKET}
    assert reader["credentials"][0]["accessKey"] == settings.blobs.access_key.get_secret_value()


def reachable_servers(container: Composed) -> set[str]:
    return {name for name, each in compose().items() if each.networks & container.networks}


def test_the_audit_trail_reads_every_log_before_it_is_overwritten() -> None:
    everything = compose()
    trail = everything["trail"]
    with patch.dict(os.environ, trail.environment, clear=True):
        settings = TrailSettings()
    targets = [volume.split(":")[1] for volume in trail.given["volumes"]]
    assert targets == [str(settings.containers), str(settings.kept)]
    assert settings.days >= 180
    for each in (*processes().values(), everything["gateway"]):
        assert each.given["logging"]["driver"] == "json-file"


def test_the_logs_of_every_container_of_ours_are_shipped_to_the_receiver(secrets: Path) -> None:
    """They are marked, and the receiver is in reach, with a certificate for its name."""
    everything = compose()
    shipper, receiver = everything["log-shipper"], everything["log-receiver"]
    shipping = with_files(ShipSettings, shipper, secrets)
    receiving = with_files(ReceiveSettings, receiver, secrets)
    assert shipping.logs.receiver == f"log-receiver:{receiving.logs.port}"
    assert shipper.networks & receiver.networks
    certificate = load_pem_x509_certificate((secrets / "log-receiver/tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert "log-receiver" in names.get_values_for_type(DNSName)
    targets = [volume.split(":")[1] for volume in shipper.given["volumes"] if "secrets" not in volume]
    assert targets == [str(shipping.logs.folder), str(shipping.logs.state)]
    assert f"logs:{receiving.logs.folder}" in receiver.given["volumes"]
    assert {each.given["logging"]["options"]["tag"] for each in everything.values()} == {f"{TAG}{{{{.Name}}}}"}


def with_files(settings: type[S], container: Composed, secrets: Path) -> S:
    """The settings of a program whose secrets are its own folder."""
    here = {
        name: value.replace("/run/secrets", str(secrets / container.name))
        for name, value in container.environment.items()
    }
    assert {name.split("__")[0].lower() for name in here} <= settings.model_fields.keys()
    with patch.dict(os.environ, here, clear=True):
        return settings()


@every_container
def test_containers_wait_for_the_health_of_their_dependencies(container: Composed) -> None:
    everything = compose()
    test = container.given.get("healthcheck", {}).get("test", [])
    assert container.job or container.ours or test or container.name == "redis-exporter"
    assert "NONE" not in test, "`compose up --wait` fails with it"
    for name, wanted in container.given.get("depends_on", {}).items():
        ends = everything[name].job
        assert wanted["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_one_container_builds_the_image_and_all_others_wait_for_it() -> None:
    ours = {name: each for name, each in compose().items() if each.ours}
    (builder,) = [name for name, each in ours.items() if "build" in each.given]
    assert {each.given["pull_policy"] for each in ours.values()} == {"never"}, "it is in no registry"
    waits = {name: set(each.given.get("depends_on", {})) for name, each in compose().items()}
    for name in ours.keys() - {builder}:
        assert builder in reachable(waits, name), f"{name} starts before its image is there"


def reachable(waits: dict[str, set[str]], name: str) -> set[str]:
    return waits[name].union(*(reachable(waits, each) for each in waits[name]))


@pytest.mark.parametrize("name", ["SITE", "BACKUP_RECIPIENTS"])
def test_nothing_starts_without_the_site_address_and_the_readers_of_backups(name: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert f"${{{name}:?" in text
    assert not re.search(rf"\$\{{{name}(?!:\?)", text)


def test_nothing_waits_for_itself() -> None:
    waits = {name: each.given.get("depends_on", {}) for name, each in compose().items()}
    order = list(TopologicalSorter(waits).static_order())
    assert order.index("mongo-init") < order.index("identity-api") < order.index("gateway")


@every_process
def test_the_servers_of_a_process_are_in_its_network_and_listen_there(process: Composed, secrets: Path) -> None:
    files = [*(secrets / process.service).iterdir(), *(secrets / "principals" / process.name).iterdir()]
    settings = json.dumps([process.environment, [path.read_text() for path in files]])
    called = set(re.findall(r"(?:://|@)([a-z0-9-]+:\d+)(?=[/?,\"\\\\]|$)", settings))
    called |= {server for name, server in process.environment.items() if name == "KAFKA__SERVERS"}
    assert called
    for name, port in (each.split(":") for each in called):
        other = compose()[name]
        assert other.networks & process.networks, f"{name} is out of reach"
        listens = {LISTENS[name]} if name in LISTENS else ports_of(started(other, secrets))
        assert int(port) in listens


def test_every_server_speaks_tls_only_and_knows_its_users(secrets: Path) -> None:
    everything = {name: " ".join(each.given.get("command", [])) for name, each in compose().items()}
    kafka = (ROOT / "deploy/kafka/server.properties").read_text()
    assert "PLAINTEXT" not in kafka
    assert {"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"} <= set(kafka.splitlines())
    assert "--tlsMode requireTLS" in everything["mongo"]
    assert "--port 0 --tls-port 6379" in everything["redis"]
    assert (secrets / "redis/users.acl").read_text().startswith("user default off")
    assert "-ip.bind=127.0.0.1 -s3.ip.bind=0.0.0.0" in everything["s3"]
    assert "-s3.cert.file=/run/secrets/tls.crt" in everything["s3"]


def test_the_files_that_servers_are_told_to_read_are_mounted(secrets: Path) -> None:
    given = {name: str(each.given) for name, each in compose().items()}
    given["kafka"] += (ROOT / "deploy/kafka/server.properties").read_text()
    for name, text in given.items():
        mounts = {
            target: secrets / source.removeprefix("./secrets/") for source, target in compose()[name].mounts.items()
        }
        for folder, file in re.findall(r"(/run/[a-z]+)/([\w.]+)", text):
            assert (mounts[folder] / file).is_file(), f"{name}: {folder}/{file}"


def test_the_servers_listen_where_they_are_called() -> None:
    assert f"INSIDE://:{LISTENS['kafka']}," in (ROOT / "deploy/kafka/server.properties").read_text()
    assert f"-s3.port={LISTENS['s3']}" in compose()["s3"].given["command"]


def test_the_gateway_knows_every_api_and_only_those_who_may_reach_its_network_are_trusted(secrets: Path) -> None:
    gateway, apis = compose()["gateway"], {name for name in processes() if name.endswith("-api")}
    called = {value for name, value in gateway.environment.items() if value.endswith(":8000")}
    assert called == {f"{name}:{started(processes()[name], secrets)['http']['port']}" for name in apis}
    networks = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["networks"]
    assert networks["inside"]["ipam"]["config"] == [{"subnet": "${SUBNET:-172.31.240.0/24}"}]
    assert {started(each, secrets)["http"]["trusted_proxies"] for each in processes().values()} == {"172.31.240.0/24"}


def test_one_caddyfile_serves_the_local_stack_and_the_deployed_one(tmp_path: Path, secrets: Path) -> None:
    path = ROOT / "deploy/Caddyfile"
    read = set(re.findall(r"\{\$(\w+)\}", path.read_text()))
    deployed, local = compose()["gateway"].environment, gateway_environment(Stack.named("dev", tmp_path))
    for given in (deployed, deployed | {"GATEWAY": "http://localhost"}, local):
        assert read <= given.keys()
        own = {"PATH": os.environ["PATH"], "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        validate = [f"{ROOT}/.venv/bin/caddy", "validate", "--adapter", "caddyfile", "--config", str(path)]
        result = subprocess.run(
            validate,
            env=given | own | {"CERTIFICATES": str(tmp_path), "INSIDE_CA": str(secrets / "trust/ca.crt")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr


def test_the_portal_knows_every_api_and_where_every_process_shows_its_health(secrets: Path) -> None:
    settings, port = started(processes()["portal-api"], secrets), InternalSettings().port
    assert settings["services"].keys() == set(get_args(ServiceName))
    assert settings["processes"] == {name: f"https://{name}:{port}" for name in processes()}


def test_rules_and_dashboards_are_mounted_where_they_are_read() -> None:
    assert yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["rule_files"] == ["rules/*.yaml"]
    (provider,) = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/files.yml").read_text())["providers"]
    assert compose()["grafana"].mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]


def test_prometheus_scrapes_every_process_at_its_internal_port() -> None:
    jobs = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    asked = {name for job in jobs for each in job.get("dns_sd_configs", []) for name in each["names"]}
    ports = {each["port"] for job in jobs for each in job.get("dns_sd_configs", [])}
    assert asked == processes().keys() | {"backup", "log-shipper", "log-receiver"}
    assert ports == {InternalSettings().port}


@every_container
def test_the_mounted_files_exist(container: Composed, secrets: Path) -> None:
    for source in container.mounts:
        made = source.removeprefix("./secrets/")
        assert (secrets / made if made != source else ROOT / source).exists()


def test_only_the_gateway_is_published_and_operator_tools_on_loopback() -> None:
    ports = [port for each in compose().values() for port in each.given.get("ports", [])]
    public = {port for port in ports if not port.startswith("127.0.0.1:")}
    assert public == set(compose()["gateway"].given["ports"])
    callers = {name for name, each in processes().items() if "outside" in each.networks}
    assert callers == {"notify-worker", "subscriptions-api", "subscriptions-worker"}


def test_images_and_packages_come_from_a_mirror_if_one_is_named() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    images = re.findall(r"^ +image: (\S+)", text, re.MULTILINE)
    assert [each for each in images if not each.startswith(("${REGISTRY:-docker.io}/", OUR_IMAGE))] == []
    given = compose()["mongo-init"].given["build"]["args"].keys()
    assert given == {each.rest.partition("=")[0] for each in dockerfile() if each.word == "ARG"} - {"PYTHON"}


def test_installation_specific_addresses_are_variables() -> None:
    """Values that differ between installations are variables, named in the comment at its top."""
    text = (ROOT / "docker-compose.yml").read_text()
    head = text.partition("name:")[0]
    asked = re.findall(r"\$\{(\w+)|^ +([A-Z_]+): *(?:#.*)?$", text.replace("$$", ""), re.MULTILINE)
    assert {"SITE", "READER_ORIGIN"} <= set(chain(*asked))
    assert {name for name in chain(*asked) if name and name not in head} <= {"VERSION"}
