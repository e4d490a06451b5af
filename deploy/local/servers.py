"""The third-party servers: their binaries, command lines, configuration and first preparation."""

import base64
import importlib.util
import shutil
import subprocess
import sys
import uuid
from hashlib import sha256
from pathlib import Path

from deploy.access.principals import ADMIN
from deploy.access.redis import acl_file
from deploy.access.s3 import identities, security
from deploy.local import access, alertmanager, exporters, prometheus
from deploy.local.ports import HOST
from deploy.local.secrets import Secrets, random_key, write_private
from deploy.local.stack import KAFKA_LIBS, Stack

_CADDYFILE = Path(__file__).parents[1] / "Caddyfile"
# With both of Java's compilers, as in production: only the second one uses the processor's instructions for TLS.
_JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_KAFKA_LOG = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"

# Clients log in with SCRAM, the broker itself with its certificate, on listeners of its own. Nothing is permitted that
# deploy/access has not granted.
# One node: every replication factor is 1, internal topics have few partitions, groups don't wait for members.
# After a kill -9 the controller refuses the broker until its old session has ended: 3 s here, 9 s by default.
_KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INSIDE
listeners=CLIENTS://{host}:{broker},INSIDE://{host}:{inside},CONTROLLER://{host}:{controller}
advertised.listeners=CLIENTS://{host}:{broker},INSIDE://{host}:{inside}
listener.security.protocol.map=CLIENTS:SASL_SSL,INSIDE:SSL,CONTROLLER:SSL
listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.inside.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
ssl.enabled.protocols=TLSv1.3,TLSv1.2
ssl.keystore.type=PEM
ssl.keystore.location={certificates}/kafka.both.pem
ssl.truststore.type=PEM
ssl.truststore.location={certificates}/ca.pem
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:kafka;User:{admin}
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=1000
num.network.threads=2
num.io.threads=4
"""

_REDIS_CONFIG = """\
bind {host}
port 0
tls-port {port}
tls-cert-file "{certificates}/redis.pem"
tls-key-file "{certificates}/redis.key"
tls-ca-cert-file "{certificates}/ca.pem"
tls-auth-clients no
tls-protocols "TLSv1.2 TLSv1.3"
aclfile "{users}"
dir "{data}"
daemonize no
protected-mode yes
appendonly yes
appendfsync everysec
save ""
"""


def kafka_properties(stack: Stack) -> Path:
    return stack.servers / "kafka.properties"


def kafka_command(stack: Stack) -> list[str]:
    return [*_java(stack), "kafka.Kafka", str(kafka_properties(stack))]


def mongo_command(stack: Stack) -> list[str]:
    data = str(stack.servers / "mongo")
    address = ["--bind_ip", HOST, "--port", str(stack.ports.mongo), "--nounixsocket"]
    memory = ["--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "512"]
    quiet = ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    return [str(mongod()), "--replSet", "rs0", "--dbpath", data, *address, *memory, *quiet, *_mongo_access(stack)]


def _mongo_access(stack: Stack) -> list[str]:
    """Require TLS and a user; members of the replica set know each other by a key."""
    own, authority = stack.certificates / "mongo.both.pem", access.ca(stack)
    files = ["--tlsCertificateKeyFile", str(own), "--tlsCAFile", str(authority), "--keyFile", str(_mongo_key(stack))]
    only = ["--tlsMode", "requireTLS", "--tlsDisabledProtocols", "TLS1_0,TLS1_1"]
    return [*only, *files, "--tlsAllowConnectionsWithoutCertificates"]


def _mongo_key(stack: Stack) -> Path:
    return stack.servers / "mongo.key"


def redis_command(stack: Stack) -> list[str]:
    return [_installed("redis-server"), str(stack.servers / "redis.conf")]


def s3_command(stack: Stack) -> list[str]:
    """Run SeaweedFS in one process, with S3 only and without telemetry.

    Not `weed mini`: with TLS it opens a second port for S3, without TLS.
    """
    ports = [f"-{option}={port}" for option, port in stack.ports.s3.items()]
    place = [f"-dir={stack.servers / 's3'}", f"-ip={HOST}", f"-ip.bind={HOST}", "-volume.max=500"]
    small = ["-master.volumeSizeLimitMB=128", "-volume.preStopSeconds=1", "-master.electionTimeout=1s"]
    kept = ["-master.resumeState=true", "-s3.allowDeleteBucketNotEmpty=false"]
    off = ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    own = {"cert.file": stack.certificates / "s3.pem", "key.file": stack.certificates / "s3.key"}
    closed = [f"-s3.{option}={path}" for option, path in {**own, "config": _s3_users(stack)}.items()]
    return [str(_beside_python("weed")), "server", "-s3", *place, *ports, *small, *kept, *off, *closed]


def s3_environment(stack: Stack) -> dict[str, str]:
    """Set a memory limit, and the folder of security.toml; below 160 MiB it always collects garbage."""
    return {"GOMEMLIMIT": "400MiB", "HOME": str(stack.servers / "s3")}


def _s3_users(stack: Stack) -> Path:
    return stack.servers / "s3-users.json"


def _s3_security(stack: Stack, secrets: Secrets) -> str:
    inside, keys = access.s3_inside(stack), [secrets.password(f"s3-token-{number}") for number in range(4)]
    return security(keys, inside / "s3.pem", inside / "s3.key", inside / "ca.pem")


def _redis_users(stack: Stack) -> Path:
    return stack.servers / "redis-users.acl"


def gateway_command() -> list[str]:
    return [str(_beside_python("caddy")), "run", "--adapter", "caddyfile", "--config", str(_CADDYFILE)]


def gateway_environment(stack: Stack) -> dict[str, str]:
    """Return the placeholders of the Caddyfile, and a home for Caddy in the stack's folder."""
    home = str(stack.servers / "gateway")
    apis = {name.upper(): f"{HOST}:{ports.api}" for name, ports in stack.ports.services.items()}
    gateway = {"GATEWAY": f"http://:{stack.ports.gateway}", "GATEWAY_BIND": HOST, "CERTIFICATES": home}
    gateway["INSIDE_CA"] = str(access.ca(stack))
    return gateway | {"XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home} | apis


def configuration_digest(stack: Stack, secrets: Secrets) -> str:
    """Return a digest that changes with the files that the servers read when they start."""
    users = "".join(_users(stack, secrets).values())
    watching = (prometheus.rules_text(), alertmanager.CONFIGURATION.read_text())
    texts = (_CADDYFILE.read_text(), _KAFKA_PROPERTIES, _REDIS_CONFIG, users, *watching)
    return sha256("".join(texts).encode()).hexdigest()


def _users(stack: Stack, secrets: Secrets) -> dict[Path, str]:
    """Return the files, most of them with users and keys, that servers and exporters read when they start."""
    known = access.passwords(secrets)
    return {
        _redis_users(stack): acl_file(known),
        _s3_users(stack): identities({name: (name, password) for name, password in known.items()}),
        stack.servers / "s3" / ".seaweedfs" / "security.toml": _s3_security(stack, secrets),
        **exporters.files(stack, secrets),
    }


def prepare_servers(stack: Stack, secrets: Secrets) -> None:
    """Write the servers' configuration; formats Kafka's storage the first time (about a second)."""
    for folder in ("kafka", "mongo", "redis", "s3", "sms-carrier", "gateway", "prometheus", "alertmanager"):
        (stack.servers / folder).mkdir(exist_ok=True, mode=0o700)
    (stack.servers / "s3" / ".seaweedfs").mkdir(exist_ok=True, mode=0o700)
    for path, text in _users(stack, secrets).items():
        write_private(path, text)
    if not _mongo_key(stack).exists():
        write_private(_mongo_key(stack), random_key())
    (stack.servers / "redis.conf").write_text(
        _REDIS_CONFIG.format(
            host=HOST, port=stack.ports.redis, data=stack.servers / "redis", certificates=stack.certificates,
            users=_redis_users(stack),
        )
    )  # fmt: skip
    prometheus.configuration_path(stack).write_text(prometheus.configuration(stack))
    alertmanager.configuration_path(stack).write_text(alertmanager.configuration(stack))
    kafka_properties(stack).write_text(
        _KAFKA_PROPERTIES.format(
            host=HOST,
            broker=stack.ports.kafka,
            controller=stack.ports.kafka_controller,
            inside=stack.ports.kafka_inside,
            certificates=stack.certificates,
            admin=ADMIN,
            data=stack.servers / "kafka" / "log",
        )
    )
    if not (stack.servers / "kafka" / "log" / "meta.properties").exists():
        _format_kafka(stack, secrets)


def _format_kafka(stack: Stack, secrets: Secrets) -> None:
    """Format Kafka's storage with a cluster id, which KRaft needs before the first start, and the super user."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # the tool would read a leading dash as an option
    label = cluster.replace("-", "A", 1) if cluster.startswith("-") else cluster
    user = f"SCRAM-SHA-512=[name={ADMIN},password={secrets.password(ADMIN)}]"
    arguments = ["format", "-t", label, "-c", str(kafka_properties(stack)), "--add-scram", user]
    command = [*_java(stack), "kafka.tools.StorageTool", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"Kafka's storage could not be formatted: {result.stdout}{result.stderr}")


def _java(stack: Stack) -> list[str]:
    if not KAFKA_LIBS.is_dir():
        raise RuntimeError("Kafka is not installed: run deploy/local/setup.sh")
    return [_installed("java"), *_JAVA_OPTIONS, _KAFKA_LOG, "-cp", f"{KAFKA_LIBS}/*"]


def mongod() -> Path:
    """Return the server's binary, which is inside a wheel; found without importing that package."""
    spec = importlib.util.find_spec("fiftyone")
    for folder in (spec and spec.submodule_search_locations) or []:
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.exists():
            return binary
    raise RuntimeError("mongod is not installed: run deploy/local/setup.sh")


def _beside_python(program: str) -> Path:
    """Return the path of a binary that a wheel installed."""
    return Path(sys.executable).with_name(program)


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise RuntimeError(f"{program} is not installed: run deploy/local/setup.sh")
    return path
