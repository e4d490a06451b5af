"""The Helm chart: an installation's values, and the manifests that helm renders, where helm is installed."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.setting_names import ROOT

CHART = ROOT / "deploy/helm"
SAID = """
host: portal.example.cn
trustedProxies: 10.42.0.0/16
kafka: {servers: "kafka.example.cn:9092"}
s3: {endpoint: "https://s3.example.cn"}
backup:
  recipients: [age1jtsxjqjc33z0mgscc7f823sys7p22c7crpesft3fcl6g2x5awgtscraqz7]
  endpoint: https://s3.example.org
  bucket: backups
ingress: {tlsSecret: portal-tls}
networkPolicy:
  gateway: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  monitoring: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  servers: [{to: [{ipBlock: {cidr: 10.20.0.0/24}}]}]
"""
HELM = shutil.which("helm", path=f"{ROOT}/.local/tools:{os.environ['PATH']}")
with_helm = pytest.mark.skipif(
    HELM is None, reason="no helm: GOBIN=$PWD/.local/tools go install helm.sh/helm/v3/cmd/helm@v3.18.6"
)

Manifest = dict[str, Any]


def rendered(tmp_path: Path, *sets: str, more: str = "") -> list[Manifest]:
    """Every object of an installation; `sets` are further options of helm, `more` further values."""
    text = _helm(tmp_path, more, "template", "city", str(CHART), "--kube-version", "1.33.0", *sets)
    return [each for each in yaml.safe_load_all(text) if each]


def notes(tmp_path: Path, *sets: str) -> str:
    """What helm prints after an installation: only in a cluster, so here a copy of the chart has it as an object."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    text = (CHART / "templates/NOTES.txt").read_text()
    as_object = '{{ define "notes" }}' + text + '{{ end }}\nkind: Notes\ntext: {{ include "notes" . | quote }}\n'
    (chart / "templates/notes.yaml").write_text(as_object)
    printed = _helm(
        tmp_path, "", "template", "city", str(chart), "-s", "templates/notes.yaml", "--kube-version", "1.33", *sets
    )
    return str(yaml.safe_load(printed)["text"])


def _helm(tmp_path: Path, more: str, *words: str) -> str:
    said, further = tmp_path / "values.yaml", tmp_path / "more.yaml"
    said.write_text(SAID)
    further.write_text(more)
    command = [str(HELM), *words, "-f", str(said), "-f", str(further)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
