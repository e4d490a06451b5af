"""The table of the stack's programs, and the supervisor's configuration made from it."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import alertmanager, balancer, exporters, prometheus, servers
from deploy.local.environment import (
    Environment,
    alert_inbox_environment,
    alert_sender_environment,
    card_reader_environment,
    environment_of,
    sms_carrier_environment,
    tool_environment,
)
from deploy.local.layout import Instance, roles_of
from deploy.local.ports import SERVICES
from deploy.local.secrets import Secrets, write_private
from deploy.local.stack import ROOT, Stack

TOOLS = ("topics", "dead-letters", "backup", "restore", "admin")
"""Users for command-line tools; `admin` is the super user."""

_KINDS: dict[str, Callable[[Stack, Instance], list[str]]] = {
    "kafka": servers.kafka_command,
    "mongo": servers.mongo_command,
    "redis": servers.redis_command,
    "sentinel": servers.sentinel_command,
    "balancer": balancer.command,
    "s3": servers.s3_command,
    "sms-carrier": lambda _stack, _instance: [sys.executable, "-m", "deploy.local.sms_carrier"],
    "card-reader": lambda _stack, _instance: [sys.executable, "-m", "deploy.local.card_reader"],
    "gateway": servers.gateway_command,
}
"""The kinds of servers, in the order of their start."""

# With bytecode kept on disk a process starts in two thirds of the time, even where the shell says not to keep it.
_PYTHON = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""}

# The highest stops first: the gateway, then our processes, then the servers that they need.
_GATEWAY = 30
_SERVICE = 20
_SERVER = 10


@dataclass(frozen=True)
class Program:
    """One process to keep running: `stop_seconds` are what it may take to stop before it is killed."""

    name: str
    command: Sequence[str]
    priority: int
    environment: Environment = field(default_factory=dict)
    stop_seconds: int = 15
    directory: Path = ROOT


def programs_of(stack: Stack, secrets: Secrets) -> list[Program]:
    """Return every program of the stack."""
    return [*_servers(stack, secrets), *_services(stack, secrets)]


def server_programs(stack: Stack) -> list[str]:
    """Return the names of the servers that our processes need, and of the gateway."""
    return [program.name for program in stack.layout.instances if program.kind in _KINDS]


def service_programs(stack: Stack) -> list[str]:
    """Return the names of our own processes."""
    return [instance.name for instance in stack.layout.instances if instance.kind not in _KINDS]


def _servers(stack: Stack, secrets: Secrets) -> list[Program]:
    found = [_server(stack, secrets, instance) for instance in stack.layout.instances if instance.kind in _KINDS]
    return [*found, *_watchers(stack, secrets)]


def _server(stack: Stack, secrets: Secrets, instance: Instance) -> Program:
    command = stack.layout.command(instance, _KINDS[instance.kind](stack, instance))
    priority = _GATEWAY if instance.kind == "gateway" else _SERVER
    return Program(instance.name, command, priority, _environment(stack, secrets, instance.kind), stop_seconds=20)


def _environment(stack: Stack, secrets: Secrets, kind: str) -> Environment:
    match kind:
        case "s3":
            return servers.s3_environment(stack)
        case "sms-carrier":
            return sms_carrier_environment(stack, secrets)
        case "card-reader":
            return card_reader_environment(stack)
        case "gateway":
            return servers.gateway_environment(stack)
    return {}


def _watchers(stack: Stack, secrets: Secrets) -> list[Program]:
    commands = {
        "prometheus": prometheus.prometheus_command,
        "node-exporter": prometheus.node_exporter_command,
        "alertmanager": alertmanager.command,
        "redis-exporter": exporters.redis_command,
        "blackbox-exporter": exporters.blackbox_command,
        **{name: _module(module) for name, module in (prometheus.SERVER_EXPORTER | prometheus.ALERTING).items()},
    }
    environments = {
        "server-exporter": exporters.server_exporter_environment(stack, secrets),
        "alert-sender": alert_sender_environment(stack, secrets),
        "alert-inbox": alert_inbox_environment(stack, secrets),
    }
    return [
        Program(name, commands[name](stack, binary), _GATEWAY, environments.get(name, {}))
        for name, binary in prometheus.watchers(stack).items()
    ]


def _module(name: str) -> Callable[[Stack, str], list[str]]:
    return lambda _stack, binary: [binary, "-m", name]


def _services(stack: Stack, secrets: Secrets) -> list[Program]:
    return [
        Program(
            instance.name,
            stack.layout.command(instance, [sys.executable, "-m", f"services.{service}", role]),
            _SERVICE,
            environment_of(stack, secrets, instance),
            directory=stack.code_of(instance),
        )
        for service in SERVICES
        for role in roles_of(service)
        for instance in stack.layout.of(f"{service}-{role}")
    ]


def write_configuration(stack: Stack, secrets: Secrets) -> bool:
    """Write the supervisor's configuration; returns whether it has changed."""
    programs = programs_of(stack, secrets)
    text = "\n".join([_daemon(stack, secrets), *(_section(stack, program) for program in programs)])
    path = stack.supervisor_config
    changed = not path.exists() or path.read_text() != text
    write_private(path, text)
    for program in programs:
        write_private(stack.environments / f"{program.name}.json", json.dumps(program.environment, indent=1))
    for instance in stack.layout.instances:  # of each kind also by the kind's name
        if instance.number == 1 and instance.name != instance.kind:
            first = stack.environments / f"{instance.name}.json"
            write_private(stack.environments / f"{instance.kind}.json", first.read_text())
    for tool in TOOLS:
        write_private(stack.environments / f"{tool}.json", json.dumps(tool_environment(stack, secrets, tool), indent=1))
    return changed


def _daemon(stack: Stack, secrets: Secrets) -> str:
    return f"""\
; the servers' own configuration: {servers.configuration_digest(stack, secrets)}
[unix_http_server]
file={_plain(str(stack.socket))}
chmod=0700

[supervisord]
logfile={_plain(str(stack.logs / "supervisord.log"))}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={_plain(str(stack.supervisor_pid))}
directory={_plain(str(ROOT))}
nodaemon=false
silent=true
minfds=8192
umask=077

[supervisorctl]
serverurl=unix://{_plain(str(stack.socket))}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""


def _section(stack: Stack, program: Program) -> str:
    return f"""\
[program:{program.name}]
command={_plain(" ".join(_quoted(word) for word in program.command))}
directory={_plain(str(program.directory))}
environment={_plain(_variables(program.environment | _PYTHON))}
priority={program.priority}
autostart=false
autorestart=true
startsecs=1
startretries=1000000
stopwaitsecs={program.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={_plain(str(stack.logs / program.name))}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


def _variables(environment: Environment) -> str:
    return ",".join(f"{name}={_quoted(value)}" for name, value in environment.items())


def _quoted(text: str) -> str:
    """Quote a value; Supervisor's syntax can't escape a quote inside it."""
    if "'" in text or "\n" in text:
        raise ValueError("a supervised program's words and settings can't hold a single quote or a line break")
    return f"'{text}'"


def _plain(text: str) -> str:
    """Escape `%`, which Supervisor expands everywhere; nothing here has ` ;`, which starts a comment."""
    return text.replace("%", "%%")
