"""The table of the stack's programs, and the supervisor's configuration made from it."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.local import alertmanager, exporters, prometheus, servers
from deploy.local.environment import (
    Environment,
    alert_inbox_environment,
    alert_sender_environment,
    card_reader_environment,
    environment_of,
    roles_of,
    sms_carrier_environment,
    tool_environment,
)
from deploy.local.ports import SERVICES
from deploy.local.secrets import Secrets, write_private
from deploy.local.stack import ROOT, Stack

TOOLS = ("topics", "dead-letters", "backup", "restore", "admin")
"""Users for command-line tools; `admin` is the super user."""
SERVERS = ("kafka", "mongo", "redis", "s3", "sms-carrier", "card-reader", "gateway")

# The highest stops first: the gateway, then our processes, then the servers that they need.
_GATEWAY = 30
_SERVICE = 20
_SERVER = 10


@dataclass(frozen=True)
class Program:
    """One process to keep running, and how many seconds it may take to stop before it is killed."""

    name: str
    command: list[str]
    priority: int
    environment: Environment = field(default_factory=dict)
    stop_seconds: int = 15


def programs_of(stack: Stack, secrets: Secrets) -> list[Program]:
    """Return every program of the stack."""
    return [*_servers(stack, secrets), *_services(stack, secrets)]


def service_programs() -> list[str]:
    return [f"{service}-{role}" for service in SERVICES for role in roles_of(service)]


def _servers(stack: Stack, secrets: Secrets) -> list[Program]:
    carrier, reader = ([sys.executable, "-m", f"deploy.local.{name}"] for name in ("sms_carrier", "card_reader"))
    return [
        Program("kafka", servers.kafka_command(stack), _SERVER, stop_seconds=20),
        Program("mongo", servers.mongo_command(stack), _SERVER),
        Program("redis", servers.redis_command(stack), _SERVER),
        Program("s3", servers.s3_command(stack), _SERVER, servers.s3_environment(stack)),
        Program("sms-carrier", carrier, _SERVER, sms_carrier_environment(stack, secrets)),
        Program("card-reader", reader, _SERVER, card_reader_environment(stack)),
        Program("gateway", servers.gateway_command(), _GATEWAY, servers.gateway_environment(stack)),
        *_watchers(stack, secrets),
    ]


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
        for name, binary in prometheus.watchers().items()
    ]


def _module(name: str) -> Callable[[Stack, str], list[str]]:
    return lambda _stack, binary: [binary, "-m", name]


def _services(stack: Stack, secrets: Secrets) -> list[Program]:
    return [
        Program(
            f"{service}-{role}",
            [sys.executable, "-m", f"services.{service}", role],
            _SERVICE,
            environment_of(stack, secrets, service, role),
        )
        for service in SERVICES
        for role in roles_of(service)
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
environment={_plain(_variables(program.environment | {"PYTHONUNBUFFERED": "1"}))}
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
