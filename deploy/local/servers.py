"""The third-party servers: their binaries, command lines, configuration and first preparation."""

import base64
import importlib.util
import shutil
import subprocess
import sys
import uuid
from hashlib import sha256
from pathlib import Path

from deploy.local import alertmanager, exporters, prometheus
from deploy.local.ports import HOST
from deploy.local.secrets import Secrets
from deploy.local.stack import KAFKA_LIBS, Stack

_CADDYFILE = Path(__file__).parents[1] / "Caddyfile"
_JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_KAFKA_LOG = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"

# One node: every replication factor is 1, internal topics have few partitions, groups don't wait for members.
# After a kill -9 the controller refuses the broker until its old session has ended: 3 s here, 9 s by default.
_KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
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
port {port}
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
    return [str(mongod()), "--replSet", "rs0", "--dbpath", data, *address, *memory, *quiet]


def redis_command(stack: Stack) -> list[str]:
    return [_installed("redis-server"), str(stack.servers / "redis.conf")]


def s3_command(stack: Stack) -> list[str]:
    """Run SeaweedFS in one process, with S3 only and without telemetry."""
    ports = [f"-{option}={port}" for option, port in stack.ports.s3.items()]
    place = [f"-dir={stack.servers / 's3'}", f"-ip={HOST}", f"-ip.bind={HOST}", "-volume.max=500"]
    off = ("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false")
    return [str(_beside_python("weed")), "mini", *place, *ports, *off, "-s3.allowDeleteBucketNotEmpty=false"]


def s3_environment(stack: Stack, secrets: Secrets) -> dict[str, str]:
    """Set keys, without which S3 is open to anyone, and a memory limit; below 160 MiB it always collects garbage."""
    keys = {"AWS_ACCESS_KEY_ID": secrets.s3_access_key, "AWS_SECRET_ACCESS_KEY": secrets.s3_secret_key}
    return {**keys, "GOMEMLIMIT": "400MiB", "HOME": str(stack.servers / "s3")}


def gateway_command() -> list[str]:
    return [str(_beside_python("caddy")), "run", "--adapter", "caddyfile", "--config", str(_CADDYFILE)]


def gateway_environment(stack: Stack) -> dict[str, str]:
    """Return the placeholders of the Caddyfile, and a home for Caddy in the stack's folder."""
    home = str(stack.servers / "gateway")
    apis = {name.upper(): f"{HOST}:{ports.api}" for name, ports in stack.ports.services.items()}
    gateway = {"GATEWAY": f"http://:{stack.ports.gateway}", "GATEWAY_BIND": HOST, "CERTIFICATES": home}
    return gateway | {"XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home} | apis


def configuration_digest() -> str:
    """Return a digest that changes with the files that the servers read when they start."""
    watching = (prometheus.rules_text(), alertmanager.CONFIGURATION.read_text(), exporters.BLACKBOX.read_text())
    texts = (_CADDYFILE.read_text(), _KAFKA_PROPERTIES, _REDIS_CONFIG, *watching)
    return sha256("".join(texts).encode()).hexdigest()


def prepare_servers(stack: Stack) -> None:
    """Write the servers' configuration; formats Kafka's storage the first time (about a second)."""
    for folder in ("kafka", "mongo", "redis", "s3", "sms-carrier", "gateway", "prometheus", "alertmanager"):
        (stack.servers / folder).mkdir(exist_ok=True, mode=0o700)
    (stack.servers / "redis.conf").write_text(
        _REDIS_CONFIG.format(host=HOST, port=stack.ports.redis, data=stack.servers / "redis")
    )
    prometheus.configuration_path(stack).write_text(prometheus.configuration(stack))
    alertmanager.configuration_path(stack).write_text(alertmanager.configuration(stack))
    kafka_properties(stack).write_text(
        _KAFKA_PROPERTIES.format(
            host=HOST,
            broker=stack.ports.kafka,
            controller=stack.ports.kafka_controller,
            data=stack.servers / "kafka" / "log",
        )
    )
    if not (stack.servers / "kafka" / "log" / "meta.properties").exists():
        _format_kafka(stack)


def _format_kafka(stack: Stack) -> None:
    """Format Kafka's storage with a cluster id, which KRaft needs before the first start."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # the tool would read a leading dash as an option
    label = cluster.replace("-", "A", 1) if cluster.startswith("-") else cluster
    command = [*_java(stack), "kafka.tools.StorageTool", "format", "-t", label, "-c", str(kafka_properties(stack))]
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
