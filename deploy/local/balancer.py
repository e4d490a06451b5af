"""The balancer of a cluster (HAProxy): one address for the instances of each API and for the Redis that is the master.

It stands for what an orchestrator's services do: a connection goes to an instance that is ready. TLS passes through.
"""

import shutil

from deploy.access.principals import ADMIN
from deploy.local.layout import BALANCER, Instance
from deploy.local.ports import SERVICES
from deploy.local.secrets import Secrets, write_private
from deploy.local.stack import Stack

# A connection to an instance that is no longer ready is closed: a paused process would never answer.
_GLOBAL = """\
global
    maxconn 8000
defaults
    mode tcp
    timeout connect 1s
    timeout check 3s
    timeout client 30m
    timeout server 30m
    retries 3
    option redispatch 1
    default-server check inter 2s fastinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
    default-server check-ssl verify required ca-file {ca}
"""

_API = """
listen {service}
    bind {host}:{port}
    balance leastconn
    option httpchk GET /readyz
    {servers}
"""

# A replica must not be written to: only the Redis that says it is the master is used.
_REDIS = """
listen redis
    bind {host}:{port}
    balance first
    option tcp-check
    tcp-check connect ssl
    tcp-check send AUTH\\ {user}\\ {password}\\r\\n
    tcp-check expect string +OK
    tcp-check send INFO\\ replication\\r\\n
    tcp-check expect string role:master
    tcp-check send QUIT\\r\\n
    {servers}
"""


def command(stack: Stack, _instance: Instance) -> list[str]:
    """Return the command line; in the foreground, as the supervisor wants it."""
    binary = shutil.which("haproxy")
    if binary is None:
        raise RuntimeError("haproxy is not installed: run deploy/local/setup.sh --cluster")
    return [binary, "-db", "-f", str(stack.servers / "balancer.cfg")]


def prepare(stack: Stack, secrets: Secrets) -> None:
    """Write the configuration, if the layout has a balancer."""
    for balancer in stack.layout.of(BALANCER):
        write_private(stack.servers / "balancer.cfg", _configuration(stack, secrets, balancer))


def _configuration(stack: Stack, secrets: Secrets, balancer: Instance) -> str:
    apis = [_api(stack, balancer.host, service) for service in SERVICES]
    port = stack.ports.redis
    servers = _servers(stack, "redis", port)
    redis = _REDIS.format(host=balancer.host, port=port, user=ADMIN, password=secrets.password(ADMIN), servers=servers)
    return "".join([_GLOBAL.format(ca=stack.certificates / "ca.pem"), *apis, redis])


def _api(stack: Stack, host: str, service: str) -> str:
    ports = stack.ports.services[service]
    servers = _servers(stack, f"{service}-api", ports.api, f" port {ports.internal}")
    return _API.format(service=service, host=host, port=ports.api, servers=servers)


def _servers(stack: Stack, kind: str, port: int, check: str = "") -> str:
    return "\n    ".join(f"server {each.name} {each.host}:{port}{check}" for each in stack.layout.of(kind))
