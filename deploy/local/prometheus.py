"""The programs that watch the stack; they run where Debian's packages are installed. Prometheus and node_exporter."""

import json
import shutil
import sys
from pathlib import Path

from deploy.local import access
from deploy.local.environment import internals_of
from deploy.local.ports import HOST
from deploy.local.stack import ROOT, Stack

RULES = ROOT / "deploy" / "prometheus" / "rules"
PACKAGES = {
    "prometheus": "prometheus",
    "node-exporter": "prometheus-node-exporter",
    "alertmanager": "prometheus-alertmanager",
    "redis-exporter": "prometheus-redis-exporter",
    "blackbox-exporter": "prometheus-blackbox-exporter",
}
"""Program → the Debian package and binary."""
SERVER_EXPORTER = {"server-exporter": "deploy.server_exporter"}
ALERTING = {"alert-sender": "deploy.alerts", "alert-inbox": "deploy.local.alert_inbox"}
"""Programs of ours that run beside Alertmanager → their modules."""

_USUAL, _SHORT = "15s", "3s"
# file systems that can't fill up; unlike in node_exporter's own list, overlay is measured: a container's root
_NO_DISKS = (
    "autofs", "binfmt_misc", "bpf", "cgroup2?", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl", "hugetlbfs",
    "mqueue", "nsfs", "proc", "procfs", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs",
    "tracefs",
)  # fmt: skip


def watchers(stack: Stack) -> dict[str, str]:
    """Return the installed ones of these optional programs, with their binaries. A cluster has none."""
    if stack.layout.cluster:
        return {}
    found = {program: shutil.which(package) for program, package in PACKAGES.items()}
    ours = (SERVER_EXPORTER if found["prometheus"] else {}) | (ALERTING if found["alertmanager"] else {})
    return {program: path for program, path in found.items() if path} | dict.fromkeys(ours, sys.executable)


def configuration_path(stack: Stack) -> Path:
    return stack.servers / "prometheus" / "prometheus.yml"


def prometheus_command(stack: Stack, binary: str) -> list[str]:
    data = str(stack.servers / "prometheus" / "data")
    storage = [f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=2d"]
    listen = f"--web.listen-address={HOST}:{stack.ports.prometheus}"
    return [binary, f"--config.file={configuration_path(stack)}", *storage, listen, "--log.level=warn"]


def node_exporter_command(stack: Stack, binary: str) -> list[str]:
    disks = ["--collector.disable-defaults", "--collector.filesystem", "--collector.meminfo", "--collector.cpu"]
    which = [f"--collector.filesystem.fs-types-exclude=^({'|'.join(_NO_DISKS)})$"]
    return [binary, *disks, *which, f"--web.listen-address={HOST}:{stack.ports.node_exporter}", "--log.level=warn"]


def configuration(stack: Stack) -> str:
    """Return the configuration, with the rules of production. Tests' stacks scrape more often, for earlier alerts."""
    interval = _USUAL if stack.name in ("dev", "bench") else _SHORT
    configuration = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(RULES / "*.yaml")],
        "alerting": {"alertmanagers": [{"static_configs": _targets(stack.ports.alertmanager)}]},
        "scrape_configs": [*_closed_jobs(stack), *_open_jobs(stack), *_probes(stack)],
    }
    return json.dumps(configuration, indent=1)  # JSON is YAML


def _closed_jobs(stack: Stack) -> list[dict[str, object]]:
    """Return the jobs of our processes and of the exporters that have a certificate as they do."""
    exporters = {"server-exporter": stack.ports.server_exporter, "redis-exporter": stack.ports.redis_exporter}
    jobs = {
        "processes": {name: address.removeprefix("https://") for name, address in internals_of(stack).items()},
        "servers": {name: f"{HOST}:{port}" for name, port in exporters.items() if name in watchers(stack)},
    }
    closed = {"scheme": "https", "tls_config": {"ca_file": str(access.ca(stack))}}
    return [
        {
            "job_name": job,
            "static_configs": [{"targets": [address], "labels": {"process": name}} for name, address in of.items()],
            **closed,
        }
        for job, of in jobs.items()
    ]


def _open_jobs(stack: Stack) -> list[dict[str, object]]:
    """Return the jobs without TLS, with the ports of programs that are installed."""
    ports, there = stack.ports, watchers(stack)
    jobs = {
        "prometheus": {"prometheus": ports.prometheus},
        "machine": {"node-exporter": ports.node_exporter},
        "alerting": {"alertmanager": ports.alertmanager, "alert-sender": ports.alert_sender},
    }
    return [
        {"job_name": job, "static_configs": _targets(*(port for name, port in of.items() if name in there))}
        for job, of in jobs.items()
    ]


def _probes(stack: Stack) -> list[dict[str, object]]:
    """Return the jobs in which the blackbox exporter gets the log-in page, and connects to the servers."""
    if "blackbox-exporter" not in watchers(stack):
        return []
    ports = stack.ports
    servers = (ports.kafka, ports.mongo, ports.redis, ports.s3["s3.port"])
    return [
        _probe(stack, "public-door", "login_page", f"http://{HOST}:{ports.gateway}/login"),
        _probe(stack, "server-certificates", "certificate", *(f"{HOST}:{port}" for port in servers)),
    ]


def _probe(stack: Stack, job: str, module: str, *targets: str) -> dict[str, object]:
    return {
        "job_name": job,
        "metrics_path": "/probe",
        "params": {"module": [module]},
        "static_configs": [{"targets": targets}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"{HOST}:{stack.ports.blackbox_exporter}"},
        ],
    }


def _targets(*ports: int) -> list[dict[str, list[str]]]:
    return [{"targets": [f"{HOST}:{port}" for port in ports]}]


def rules_text() -> str:
    """Return the text of all rule files, which Prometheus reads when it starts."""
    return "".join(path.read_text() for path in sorted(RULES.glob("*.yaml")))
