"""deploy/helm: its values match the settings; where helm is installed, the rendered manifests are checked too."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import pytest
import yaml

from deploy.alerts.settings import AlertSettings
from deploy.server_exporter.__main__ import ExporterSettings
from kit.settings import HttpSettings, InternalSettings, ToolSettings
from services.portal.settings import ServiceName
from tests.support.chart import CHART, HELM, SAID, Manifest, rendered, with_helm
from tests.support.installation import chart_environment, dockerfile, processes
from tests.support.setting_names import ROOT, SERVICES, names_of, roles, secret_names, settings_of


def values() -> Manifest:
    found: Manifest = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def test_the_chart_has_every_process_of_every_service() -> None:
    given = {name: {"api", "worker"} & of.keys() for name, of in values()["services"].items()}
    assert given == {name: set(roles(name)) for name in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_finds_every_setting_in_values_and_its_secret(service: str, secrets: Path) -> None:
    with patch.dict(os.environ, chart_environment(service), clear=True):
        assert settings_of(service)(_secrets_dir=secrets / service).model_dump()["environment"] == "production"


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_gets_only_settings_that_it_reads_and_no_secret(service: str) -> None:
    given = chart_environment(service).keys() - {"SECRETS_DIR"}
    assert given <= names_of(service).keys()
    assert not given & secret_names(service)


def test_the_tool_for_topics_gets_only_settings_that_it_reads() -> None:
    given = set(re.findall(r"\{name: (\w+), value", (CHART / "templates/topics.yaml").read_text()))
    read = ToolSettings.model_fields
    assert {name.split("__")[0].lower() for name in given} == read.keys()


def test_the_chart_has_the_version_of_the_product() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text()
    assert f"VERSION:-{chart['appVersion']}}}" in (ROOT / "docker-compose.yml").read_text()


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
@pytest.mark.parametrize("name", ["host", "trustedProxies", "kafka.servers", "s3.endpoint", "networkPolicy.servers"])
def test_rendering_fails_without_a_required_value(tmp_path: Path, name: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(tmp_path, "--set", f"{name}=")
    assert name in refused.value.stderr


@with_helm
def test_every_pod_is_restricted_and_probed_at_its_internal_port(tmp_path: Path) -> None:
    everything = pods(rendered(tmp_path))
    assert everything.keys() == {f"city-{name}-{role}" for name in SERVICES for role in roles(name)} | {"city-topics"}
    (user,) = [each.rest.split(":")[0] for each in dockerfile() if each.word == "USER"]
    for name, pod in everything.items():
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert (spec["securityContext"]["runAsNonRoot"], str(spec["securityContext"]["runAsUser"])) == (True, user)
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {"memory"} <= container["resources"]["limits"].keys()
        if name != "city-topics":
            ports = {each["name"]: each["containerPort"] for each in container["ports"]}
            assert ports["internal"] == InternalSettings().port
            assert ports.get("http", HttpSettings().port) == HttpSettings().port
            probes = [container[each]["httpGet"] for each in ("startupProbe", "livenessProbe", "readinessProbe")]
            assert [each["port"] for each in probes] == ["internal"] * 3
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
        with patch.dict(os.environ, given, clear=True):
            settings_of(service)(_secrets_dir=secrets / service)
        assert set(re.findall(r"http://(city-[\w-]+):\d+", json.dumps(given))) <= names


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
    sets = "serverExporter.enabled=true,publicDoorProbe=blackbox:9115"
    everything = rendered(tmp_path, "--set", sets)
    (container,) = pods(everything)["city-server-exporter"]["spec"]["containers"]
    with patch.dict(os.environ, {each["name"]: each["value"] for each in container["env"]}, clear=True):
        assert ExporterSettings(_secrets_dir=secrets / "server-exporter").kafka.servers == "kafka.example.cn:9092"
    (probe,) = [each["spec"] for each in everything if each["kind"] == "Probe"]
    assert probe["targets"]["staticConfig"]["static"] == ["https://portal.example.cn/login"]


@with_helm
def test_the_portal_knows_every_api_and_where_every_process_shows_its_health(tmp_path: Path) -> None:
    (container,) = pods(rendered(tmp_path, "--set", "readerOrigin=http://127.0.0.1:18006"))["city-portal-api"]["spec"][
        "containers"
    ]
    given = {each["name"]: each["value"] for each in container["env"]}
    apis = {name: f"http://city-{name}-api:8000" for name in get_args(ServiceName)}
    assert json.loads(given["SERVICES"]) == apis
    names = [f"{name}-{role}" for name in SERVICES for role in roles(name)]
    assert json.loads(given["PROCESSES"]) == {name: f"http://city-{name}-internal:9000" for name in names}
    assert given["READER_ORIGIN"] == "http://127.0.0.1:18006"


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
    assert scaled | counted | {"city-topics"} == pods(everything).keys()
    assert not scaled & counted
