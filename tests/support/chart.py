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


def rendered(tmp_path: Path, *sets: str) -> list[Manifest]:
    """Every object of an installation; `sets` are further options of helm."""
    said = tmp_path / "values.yaml"
    said.write_text(SAID)
    command = [str(HELM), "template", "city", str(CHART), "-f", str(said), "--kube-version", "1.33.0", *sets]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [each for each in yaml.safe_load_all(text) if each]
