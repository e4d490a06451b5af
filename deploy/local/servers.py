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
from deploy.local import access, alertmanager, balancer, exporters, prometheus
from deploy.local.layout import BALANCER, Instance
from deploy.local.ports import HOST, SERVICES
from deploy.local.secrets import Secrets, random_key, write_private
from deploy.local.stack import KAFKA_LIBS, Stack

_CADDYFILE = Path(__file__).parents[1] / "Caddyfile"
# With both of Java's compilers, as in production: only the second one uses the processor's instructions for TLS.
_JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_KAFKA_LOG = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSSXXX",
)  # fmt: skip

# Clients log in with SCRAM, the broker itself with its certificate, on listeners of its own. Nothing is permitted that
# deploy/access has not granted.
# Internal topics have few partitions, groups don't wait for members.
# After a kill -9 the controller refuses the broker until its old session has ended: 3 s here, 9 s by default.
_KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
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
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
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
tls-replication yes
tls-protocols "TLSv1.2 TLSv1.3"
aclfile "{users}"
dir "{data}"
daemonize no
protected-mode yes
appendonly yes
appendfsync everysec
save ""
"""

# A user of the master, for a replica; Sentinel may make any of them the master.
_REPLICATION = """\
masteruser {user}
masterauth {password}
"""

_SENTINEL_CONFIG = """\
bind {host}
port 0
tls-port 26379
tls-cert-file "{certificates}/sentinel.pem"
tls-key-file "{certificates}/sentinel.key"
tls-ca-cert-file "{certificates}/ca.pem"
tls-auth-clients no
tls-replication yes
dir "{data}"
requirepass {password}
sentinel sentinel-pass {password}
sentinel monitor portal {redis} {port} 2
sentinel auth-user portal {user}
sentinel auth-pass portal {password}
sentinel down-after-milliseconds portal 3000
sentinel failover-timeout portal 10000
"""


def kafka_properties(stack: Stack, instance: Instance) -> Path:
    return stack.servers / f"{instance.name}.properties"


def kafka_command(stack: Stack, instance: Instance) -> list[str]:
    return [*_java(), "kafka.Kafka", str(kafka_properties(stack, instance))]


def mongo_command(stack: Stack, instance: Instance) -> list[str]:
    """Run mongod. It also listens on its own loopback, where alone the first user can be created."""
    data = str(stack.servers / instance.name)
    hosts = ",".join(dict.fromkeys((HOST, instance.host)))
    address = ["--bind_ip", hosts, "--port", str(stack.ports.mongo), "--nounixsocket"]
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


def redis_command(stack: Stack, instance: Instance) -> list[str]:
    return [_installed("redis-server"), str(redis_config(stack, instance))]


def redis_config(stack: Stack, instance: Instance) -> Path:
    return stack.servers / f"{instance.name}.conf"


def sentinel_command(stack: Stack, instance: Instance) -> list[str]:
    """Run a Sentinel, which with the others promotes the replica when Redis is down."""
    return [_installed("redis-server"), str(redis_config(stack, instance)), "--sentinel"]


def s3_command(stack: Stack, instance: Instance) -> list[str]:
    """Run SeaweedFS in one process, with S3 only and without telemetry.

    Not `weed mini`: with TLS it opens a second port for S3, without TLS.
    """
    ports = [f"-{option}={port}" for option, port in stack.ports.s3.items()]
    place = [f"-dir={stack.servers / 's3'}", f"-ip={instance.host}", f"-ip.bind={instance.host}", "-volume.max=500"]
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


def gateway_command(_stack: Stack, _instance: Instance) -> list[str]:
    return [str(_beside_python("caddy")), "run", "--adapter", "caddyfile", "--config", str(_CADDYFILE)]


def gateway_environment(stack: Stack) -> dict[str, str]:
    """Return the placeholders of the Caddyfile, and a home for Caddy in the stack's folder."""
    home = str(stack.servers / "gateway")
    apis = {name.upper(): stack.api(name).removeprefix("https://") for name in SERVICES}
    bind = {"GATEWAY_BIND": stack.host("gateway")}
    gateway = {"GATEWAY": f"http://:{stack.ports.gateway}", "CERTIFICATES": home, **bind}
    gateway["INSIDE_CA"] = str(access.ca(stack))
    if stack.layout.of(BALANCER):  # several instances at one address
        gateway["SPARED"] = "0s"
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
    for folder in (*(instance.name for instance in stack.layout.instances), "prometheus", "alertmanager"):
        (stack.servers / folder).mkdir(exist_ok=True, mode=0o700)
    (stack.servers / "s3" / ".seaweedfs").mkdir(exist_ok=True, mode=0o700)
    for path, text in _users(stack, secrets).items():
        write_private(path, text)
    if not _mongo_key(stack).exists():
        write_private(_mongo_key(stack), random_key())
    _prepare_redis(stack, secrets)
    balancer.prepare(stack, secrets)
    prometheus.configuration_path(stack).write_text(prometheus.configuration(stack))
    alertmanager.configuration_path(stack).write_text(alertmanager.configuration(stack))
    _prepare_kafka(stack, secrets)


def _prepare_redis(stack: Stack, secrets: Secrets) -> None:
    """Write the configuration of Redis, its replicas, and the Sentinels; both change theirs after a failover."""
    first, password, ports = stack.layout.of("redis")[0].host, secrets.password(ADMIN), stack.ports
    for instance in stack.layout.of("redis"):
        own = _REDIS_CONFIG.format(
            host=instance.host, port=ports.redis, data=stack.servers / instance.name, certificates=stack.certificates,
            users=_redis_users(stack),
        )  # fmt: skip
        others = _REPLICATION.format(user=ADMIN, password=password)
        follows = f"replicaof {first} {ports.redis}\n" if instance.number > 1 else ""
        write_private(redis_config(stack, instance), own + others + follows)
    for instance in stack.layout.of("sentinel"):
        text = _SENTINEL_CONFIG.format(
            host=instance.host, data=stack.servers / instance.name, certificates=stack.certificates, user=ADMIN,
            password=password, redis=first, port=ports.redis,
        )  # fmt: skip
        write_private(redis_config(stack, instance), text)


def _prepare_kafka(stack: Stack, secrets: Secrets) -> None:
    """Write each broker's configuration; brokers that have no storage yet get one, all with the same cluster id."""
    brokers, ports = stack.layout.of("kafka"), stack.ports
    voters = ",".join(f"{broker.number}@{broker.host}:{ports.kafka_controller}" for broker in brokers)
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    for broker in brokers:
        data = stack.servers / broker.name / "log"
        text = _KAFKA_PROPERTIES.format(
            number=broker.number, voters=voters, host=broker.host, broker=ports.kafka,
            controller=ports.kafka_controller, inside=ports.kafka_inside, certificates=stack.certificates, admin=ADMIN,
            data=data, replicas=len(brokers), in_sync=len(brokers) // 2 + 1,
        )  # fmt: skip
        kafka_properties(stack, broker).write_text(text)
        if not (data / "meta.properties").exists():
            _format_kafka(kafka_properties(stack, broker), cluster, secrets.password(ADMIN))


def _format_kafka(properties: Path, cluster: str, password: str) -> None:
    """Format Kafka's storage with a cluster id, which KRaft needs before the first start, and the super user."""
    # the tool would read a leading dash as an option
    label = cluster.replace("-", "A", 1) if cluster.startswith("-") else cluster
    user = f"SCRAM-SHA-512=[name={ADMIN},password={password}]"
    arguments = ["format", "-t", label, "-c", str(properties), "--add-scram", user]
    command = [*_java(), "kafka.tools.StorageTool", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"Kafka's storage could not be formatted: {result.stdout}{result.stderr}")


def _java() -> list[str]:
    if not KAFKA_LIBS.is_dir():
        raise RuntimeError("Kafka is not installed: run deploy/local/setup.sh")
    return [_installed("java"), *_JAVA_OPTIONS, *_KAFKA_LOG, "-cp", f"{KAFKA_LIBS}/*"]


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
