"""deploy/helm: its values match the settings; where helm is installed, the rendered manifests are checked too."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import pytest
import yaml

from deploy.access.__main__ import Settings
from deploy.alerts.settings import AlertSettings
from deploy.backup.settings import DumpSettings
from deploy.logs.settings import ShipSettings
from deploy.server_exporter.__main__ import ExporterSettings
from kit.settings import HttpSettings, InternalSettings, ToolSettings
from services.portal.settings import ServiceName
from tests.support.chart import CHART, HELM, SAID, Manifest, notes, rendered, with_helm
from tests.support.installation import chart_environment, dockerfile, migrations, process_settings, processes
from tests.support.setting_names import ROOT, SERVICES, names_of, roles, secret_names


def values() -> Manifest:
    found: Manifest = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def test_the_chart_has_every_process_of_every_service() -> None:
    given = {name: {"api", "worker"} & of.keys() for name, of in values()["services"].items()}
    assert given == {name: set(roles(name)) for name in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_finds_every_setting_in_values_and_its_secret(service: str, secrets: Path) -> None:
    for role in roles(service):
        settings = process_settings(f"{service}-{role}", chart_environment(service), secrets)
        assert settings.model_dump()["environment"] == "production"


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_gets_only_settings_that_it_reads_and_no_secret(service: str) -> None:
    given = chart_environment(service).keys() - {"SECRETS_DIR"}
    assert given <= names_of(service).keys()
    assert not given & secret_names(service)


def test_the_tool_for_topics_gets_only_settings_that_it_reads() -> None:
    given = set(re.findall(r"\{name: (\w+), value", (CHART / "templates/topics.yaml").read_text()))
    read = ToolSettings.model_fields
    assert {name.split("__")[0].lower() for name in given - {"SECRETS_DIR"}} == read.keys()


def test_the_job_for_users_gets_only_settings_that_it_reads() -> None:
    given = set(re.findall(r"\{name: (\w+), value", (CHART / "templates/access.yaml").read_text()))
    assert {name.split("__")[0].lower() for name in given - {"SECRETS_DIR"}} <= Settings.model_fields.keys()


def test_the_chart_has_the_version_of_the_product() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text()
    assert f"VERSION:-{chart['appVersion']}}}" in (ROOT / "docker-compose.yml").read_text()


def jobs() -> set[str]:
    """The pods that run once, before an installation or upgrade."""
    return {"city-topics", "city-access"} | {f"city-{name}" for name in migrations()}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The workloads by name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in manifests if "template" in each.get("spec", {})
    }


@with_helm
def test_helm_lint_passes(tmp_path: Path) -> None:
    said = tmp_path / "values.yaml"
    said.write_text(SAID)
    subprocess.run([str(HELM), "lint", "--strict", "--kube-version", "1.33.0", "-f", str(said), str(CHART)], check=True)


@with_helm
@pytest.mark.parametrize(
    "name",
    [
        "host", "trustedProxies", "kafka.servers", "s3.endpoint", "networkPolicy.servers",
        "backup.recipients", "backup.endpoint", "backup.bucket",
    ],
)  # fmt: skip
def test_rendering_fails_without_a_required_value(tmp_path: Path, name: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(tmp_path, "--set", f"{name}=")
    assert name in refused.value.stderr or name.replace(".", "/") in refused.value.stderr


@with_helm
def test_the_backup_is_restricted_and_finds_every_setting(tmp_path: Path, secrets: Path) -> None:
    (job,) = [each["spec"]["jobTemplate"] for each in rendered(tmp_path) if each["kind"] == "CronJob"]
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (spec["securityContext"]["runAsNonRoot"], spec["automountServiceAccountToken"]) == (True, False)
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["args"] == ["deploy.backup", "run"]
    own = str(tmp_path / "backup")
    given = {each["name"]: each["value"].replace("/run/secrets", own) for each in container["env"]}
    shutil.copytree(secrets / "principals/backup", tmp_path / "backup")
    signed = json.loads((tmp_path / "backup/backup").read_text())
    bucket = {"bucket": {"access_key": "a", "secret_key": "s"}}
    (tmp_path / "backup/backup").write_text(json.dumps(signed | bucket))
    with patch.dict(os.environ, given, clear=True):
        backup = DumpSettings(_secrets_dir=tmp_path / "backup").backup
    assert backup.bucket
    assert (backup.bucket.bucket, backup.bucket.secret_key.get_secret_value()) == ("backups", "s")


@with_helm
def test_the_log_shipper_reads_the_pods_files_and_writes_its_positions_only(tmp_path: Path, secrets: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(tmp_path, "--set", "logs.enabled=true")
    assert "logs.receiver" in refused.value.stderr
    manifests = rendered(tmp_path, "--set", "logs.enabled=true,logs.receiver=logs.example.cn:6514")
    (shipper,) = [each for each in manifests if each["kind"] == "DaemonSet"]
    spec, (container,) = shipper["spec"]["template"]["spec"], shipper["spec"]["template"]["spec"]["containers"]
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsNonRoot"]) == (0, False)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert [each["name"] for each in container["volumeMounts"] if not each.get("readOnly")] == ["positions"]
    given = {each["name"]: each["value"].replace("/run/tls", f"{secrets}/log-shipper") for each in container["env"]}
    with patch.dict(os.environ, given, clear=True):
        logs = ShipSettings().logs
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert {str(logs.folder), str(logs.state)} <= mounts
    assert (logs.receiver, logs.format, logs.pattern) == (
        "logs.example.cn:6514",
        "kubernetes",
        "default_city-*/*/*.log*",
    )


@with_helm
def test_every_pod_is_restricted_and_probed_at_its_internal_port(tmp_path: Path) -> None:
    everything = pods(rendered(tmp_path))
    assert everything.keys() == {f"city-{name}-{role}" for name in SERVICES for role in roles(name)} | jobs()
    (user,) = [each.rest.split(":")[0] for each in dockerfile() if each.word == "USER"]
    for name, pod in everything.items():
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert (spec["securityContext"]["runAsNonRoot"], str(spec["securityContext"]["runAsUser"])) == (True, user)
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {"memory"} <= container["resources"]["limits"].keys()
        if name not in jobs():
            ports = {each["name"]: each["containerPort"] for each in container["ports"]}
            assert ports["internal"] == InternalSettings().port
            assert ports.get("http", HttpSettings().port) == HttpSettings().port
            probes = [container[each]["httpGet"] for each in ("startupProbe", "livenessProbe", "readinessProbe")]
            assert [(each["port"], each["scheme"]) for each in probes] == [("internal", "HTTPS")] * 3
            later = "/healthz" if name.endswith("-api") else "/readyz"
            assert [each["path"] for each in probes] == ["/readyz", "/healthz", later]


@with_helm
@pytest.mark.parametrize("service", SERVICES)
def test_the_rendered_environment_is_sufficient_to_start(tmp_path: Path, service: str, secrets: Path) -> None:
    everything = rendered(tmp_path)
    names = {each["metadata"]["name"] for each in everything if each["kind"] == "Service"}
    for role in roles(service):
        (container,) = pods(everything)[f"city-{service}-{role}"]["spec"]["containers"]
        assert container["args"] == [f"services.{service}", role]
        given = {each["name"]: each["value"] for each in container["env"]}
        process_settings(f"{service}-{role}", given, secrets)
        assert set(re.findall(r"https://(city-[\w-]+):\d+", json.dumps(given))) <= names


@with_helm
def test_alert_sender_and_alertmanager_can_be_added(tmp_path: Path, secrets: Path) -> None:
    everything = rendered(tmp_path, "--set", "alerts.enabled=true")
    added = pods(everything)
    (sender,) = added["city-alert-sender"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in sender["env"]}
    with patch.dict(os.environ, given, clear=True):
        assert AlertSettings(_secrets_dir=secrets / "alerts").site == "portal.example.cn"
    (configuration,) = [
        each["data"]
        for each in everything
        if each["kind"] == "ConfigMap" and "alertmanager" in each["metadata"]["name"]
    ]
    ours = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text()
    assert configuration["alertmanager.yml"] == ours.replace("alert-sender:", "city-alert-sender:")
    services = {each["metadata"]["name"] for each in everything if each["kind"] == "Service"}
    assert {"city-alert-sender", "city-alertmanager"} <= services
    without = pods(rendered(tmp_path, "--set", "alerts.enabled=true,alerts.alertmanager.enabled=false"))
    assert added.keys() - without.keys() == {"city-alertmanager"}


@with_helm
def test_exporters_can_be_added(tmp_path: Path, secrets: Path) -> None:
    sets = "serverExporter.enabled=true,publicDoorProbe=blackbox:9115,tls.issuer.name=city"
    everything = rendered(tmp_path, "--set", sets)
    spec, own = pods(everything)["city-server-exporter"]["spec"], secrets / "principals/monitoring"
    (container,) = spec["containers"]
    given = {each["name"]: each["value"].replace("/run/tls", str(own)) for each in container["env"]}
    with patch.dict(os.environ, given, clear=True):
        settings = ExporterSettings(_secrets_dir=own)
    assert (settings.kafka.servers, settings.kafka.user) == ("kafka.example.cn:9092", "monitoring")
    assert settings.kafka.ca == settings.mongo.ca == own / "ca.crt"
    (certificate,) = [each["secret"]["secretName"] for each in spec["volumes"] if each["name"] == "tls"]
    assert certificate in {each["spec"]["secretName"] for each in everything if each["kind"] == "Certificate"}
    (probe,) = [each["spec"] for each in everything if each["kind"] == "Probe"]
    assert probe["targets"]["staticConfig"]["static"] == ["https://portal.example.cn/login"]


@with_helm
def test_the_portal_knows_every_api_and_where_every_process_shows_its_health(tmp_path: Path) -> None:
    (container,) = pods(rendered(tmp_path, "--set", "readerOrigin=http://127.0.0.1:18006"))["city-portal-api"]["spec"][
        "containers"
    ]
    given = {each["name"]: each["value"] for each in container["env"]}
    apis = {name: f"https://city-{name}-api:8000" for name in get_args(ServiceName)}
    assert json.loads(given["SERVICES"]) == apis
    names = [f"{name}-{role}" for name in SERVICES for role in roles(name)]
    assert json.loads(given["PROCESSES"]) == {name: f"https://city-{name}-internal:9000" for name in names}
    assert given["READER_ORIGIN"] == "http://127.0.0.1:18006"


@with_helm
def test_the_portal_gets_the_list_of_windows(tmp_path: Path) -> None:
    windows = ROOT / "deploy/local/windows.yaml"
    manifests = rendered(tmp_path, more=yaml.safe_dump({"windows": yaml.safe_load(windows.read_text())}))
    (listed,) = [each for each in manifests if each["metadata"]["name"] == "city-windows"]
    (container,) = pods(manifests)["city-portal-api"]["spec"]["containers"]
    (path,) = [Path(each["value"]) for each in container["env"] if each["name"] == "WINDOWS"]
    assert yaml.safe_load(listed["data"][path.name]) == yaml.safe_load(windows.read_text())
    assert {"name": "windows", "mountPath": str(path.parent), "readOnly": True} in container["volumeMounts"]


@with_helm
def test_the_internal_name_of_a_process_resolves_to_every_pod_ready_or_not(tmp_path: Path) -> None:
    everything = [each for each in rendered(tmp_path) if each["kind"] == "Service"]
    internal = [each["spec"] for each in everything if each["metadata"]["name"].endswith("-internal")]
    assert len(internal) == sum(len(roles(name)) for name in SERVICES)
    for spec in internal:
        assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
        assert [each["port"] for each in spec["ports"]] == [InternalSettings().port]


@with_helm
def test_only_the_portal_and_monitoring_reach_internal_ports(tmp_path: Path) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in rendered(tmp_path) if each["kind"] == "NetworkPolicy"
    }
    portal = {"app.kubernetes.io/instance": "city", "app.kubernetes.io/component": "portal-api"}
    (rule,) = [each for each in policies["city"]["ingress"] if each["ports"] == [{"port": 9000}]]
    own = [each["podSelector"]["matchLabels"] for each in rule["from"] if "podSelector" in each]
    assert own == [portal]
    assert policies["city-watch"]["podSelector"]["matchLabels"] == portal
    assert [each["ports"] for each in policies["city-watch"]["egress"]] == [[{"port": 9000}]]


@with_helm
def test_the_same_processes_as_in_compose_call_addresses_outside(tmp_path: Path) -> None:
    outside = {name for name, pod in pods(rendered(tmp_path)).items() if "calls" in pod["metadata"]["labels"]}
    assert outside == {f"city-{name}" for name, each in processes().items() if "outside" in each.networks}


@with_helm
def test_every_pod_selector_matches_pods(tmp_path: Path) -> None:
    everything = rendered(tmp_path)
    labels = [pod["metadata"]["labels"] for pod in pods(everything).values()]
    for each in everything:
        wanted = each["spec"].get("selector") or each["spec"].get("podSelector")
        if wanted:
            wanted = wanted.get("matchLabels", wanted)
            assert [found for found in labels if wanted.items() <= found.items()], each["metadata"]["name"]
    scaled = {
        each["spec"]["scaleTargetRef"]["name"] for each in everything if each["kind"] == "HorizontalPodAutoscaler"
    }
    counted = {each["metadata"]["name"] for each in everything if "replicas" in each["spec"]}
    assert scaled | counted | jobs() == pods(everything).keys()
    assert not scaled & counted


def allowed(schema: Manifest, path: str = "") -> set[str]:
    """The names of values in the schema, as `image.tag`."""
    names = {f"{path}{name}": each for name, each in schema.get("properties", {}).items()}
    return set(names).union(*(allowed(each, f"{name}.") for name, each in names.items()))


def named(given: Manifest, closed: set[str], path: str = "") -> set[str]:
    """The names in values.yaml down to those that the schema leaves open."""
    names = {f"{path}{name}": each for name, each in given.items() if not name.startswith("x-")}
    inner = {name: each for name, each in names.items() if any(known.startswith(f"{name}.") for known in closed)}
    return set(names).union(*(named(each, closed, f"{name}.") for name, each in inner.items()))


def test_the_schema_has_every_value() -> None:
    known = allowed(json.loads((CHART / "values.schema.json").read_text()))
    assert named(values(), known) <= known


def fits(tmp_path: Path, given: str) -> bool:
    """Whether values fit the schema."""
    path = tmp_path / "values.yaml"
    path.write_text(given)
    check = [f"{ROOT}/.venv/bin/check-jsonschema", "--schemafile", str(CHART / "values.schema.json"), str(path)]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


def test_the_schema_accepts_the_values_of_the_chart_and_of_an_installation(tmp_path: Path) -> None:
    assert fits(tmp_path, (CHART / "values.yaml").read_text())
    assert fits(tmp_path, SAID)


@pytest.mark.parametrize(
    "wrong",
    [
        "hosts: portal.example.cn",
        "host: https://portal.example.cn",
        "image: {digest: latest}",
        "image: {registry: registry.example.cn/}",
        "image: {pullSecrets: [{name: registry}]}",
        "kafka: {partitions: many}",
        "placement: {tolerations: {key: dedicated}}",
        "monitoring: {podMonitor: true, serviceMonitor: true}",
        "services: {records: {env: {}, api: {replicas: 0, resources: {}}}}",
    ],
)
def test_the_schema_refuses_what_would_have_no_effect_or_a_wrong_one(tmp_path: Path, wrong: str) -> None:
    assert not fits(tmp_path, wrong)


@with_helm
def test_users_then_topics_then_migrations_come_before_an_installation_and_an_upgrade(tmp_path: Path) -> None:
    hooks = {
        each["metadata"]["name"]: each["metadata"]["annotations"]
        for each in rendered(tmp_path)
        if "helm.sh/hook" in each["metadata"].get("annotations", {})
    }
    assert hooks.keys() == jobs()
    assert {each["helm.sh/hook"] for each in hooks.values()} == {"pre-install,pre-upgrade"}
    weights = {name: int(each.get("helm.sh/hook-weight", 0)) for name, each in hooks.items()}
    access, topics = weights.pop("city-access"), weights.pop("city-topics")
    assert access < topics
    assert all(topics < weight for weight in weights.values())


@with_helm
def test_a_migration_has_the_environment_and_secrets_of_its_worker(tmp_path: Path) -> None:
    everything = pods(rendered(tmp_path))
    for name, each in migrations().items():
        pod, worker = everything[f"city-{name}"]["spec"], everything[f"city-{each.service}-worker"]["spec"]
        (container,), (other,) = pod["containers"], worker["containers"]
        assert container["args"] == [f"services.{each.service}", "migrate"]
        assert (container["env"], container["volumeMounts"]) == (other["env"], other["volumeMounts"])
        assert pod["volumes"] == worker["volumes"]


PLACED = """
image: {registry: registry.example.cn/city, tag: 0.1.7, digest: "sha256:DIGEST", pullSecrets: [registry]}
placement:
  nodeSelector: {disk: ssd}
  tolerations: [{key: dedicated, operator: Equal, value: portal, effect: NoSchedule}]
  priorityClassName: important
""".replace("DIGEST", "1a" * 32)


@with_helm
def test_every_pod_has_the_image_and_the_nodes_of_the_values(tmp_path: Path) -> None:
    for name, pod in pods(rendered(tmp_path, more=PLACED)).items():
        spec = pod["spec"]
        assert (
            spec["containers"][0]["image"] == f"registry.example.cn/city/practitioner-portal:0.1.7@sha256:{'1a' * 32}"
        )
        assert (spec["imagePullSecrets"], spec["nodeSelector"]) == ([{"name": "registry"}], {"disk": "ssd"}), name
        assert [each["key"] for each in spec["tolerations"]] == ["dedicated"]
        assert spec["priorityClassName"] == "important"


@with_helm
def test_the_pods_of_a_process_prefer_different_nodes_and_zones(tmp_path: Path) -> None:
    everything = pods(rendered(tmp_path))
    for name in everything.keys() - jobs():
        spec, labels = everything[name]["spec"], everything[name]["metadata"]["labels"]
        (preferred,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        spread = spec["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        for each in (preferred["podAffinityTerm"], *spread):
            chosen = each["labelSelector"]["matchLabels"].items()
            assert chosen <= labels.items()
            assert [other for other, pod in everything.items() if chosen <= pod["metadata"]["labels"].items()] == [name]


@with_helm
def test_an_affinity_of_the_installation_replaces_the_charts(tmp_path: Path) -> None:
    own = "placement: {affinity: {nodeAffinity: {}}, spread: []}"
    for name, pod in pods(rendered(tmp_path, more=own)).items():
        if name not in jobs():
            assert pod["spec"]["affinity"] == {"nodeAffinity": {}}
            assert "topologySpreadConstraints" not in pod["spec"]


@with_helm
def test_alerts_and_dashboards_are_those_of_the_repository(tmp_path: Path) -> None:
    everything = rendered(tmp_path, more="monitoring: {rules: true, dashboards: true, labels: {release: prometheus}}")
    rules = {each["metadata"]["name"]: each for each in everything if each["kind"] == "PrometheusRule"}
    files = {
        f"city-{path.stem}": yaml.safe_load(path.read_text()) for path in (ROOT / "deploy/prometheus/rules").iterdir()
    }
    assert {name: each["spec"] for name, each in rules.items()} == files
    assert {each["metadata"]["labels"]["release"] for each in rules.values()} == {"prometheus"}
    boards = [
        each for each in everything if each["kind"] == "ConfigMap" and "grafana_dashboard" in each["metadata"]["labels"]
    ]
    shown = {name: json.loads(text) for each in boards for name, text in each["data"].items()}
    assert shown == {path.name: json.loads(path.read_text()) for path in (ROOT / "deploy/grafana/dashboards").iterdir()}


@with_helm
@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_prometheus_finds_every_process_with_the_labels_of_compose(tmp_path: Path, kind: str) -> None:
    everything = rendered(tmp_path, more=f"monitoring: {{{kind[0].lower()}{kind[1:]}: true}}")
    (monitor,) = [each for each in everything if each["kind"] in ("PodMonitor", "ServiceMonitor")]
    assert monitor["kind"] == kind
    (endpoint,) = monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]
    assert endpoint["port"] == "internal"
    assert {each["targetLabel"] for each in endpoint["relabelings"]} == {"job", "process", "__scheme__"}
    chosen = monitor["spec"]["selector"]["matchLabels"].items()
    found = [each for each in everything if each["kind"] == "Service" and chosen <= each["metadata"]["labels"].items()]
    if kind == "ServiceMonitor":
        assert len(found) == len(processes())
        assert {port["name"] for each in found for port in each["spec"]["ports"]} == {"internal"}


@with_helm
def test_the_notes_say_what_is_left_to_do(tmp_path: Path) -> None:
    text = notes(tmp_path)
    assert "serves https://portal.example.cn" in text
    assert "Load the alerts yourself" in text
    assert "nobody can log in" not in text
    assert "nobody can log in" in notes(tmp_path, "--set", "ingress.tlsSecret=")
    assert "Load the alerts" not in notes(tmp_path, "--set", "monitoring.rules=true")
