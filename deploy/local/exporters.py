"""Exporters: of Debian where their packages are installed, and server-exporter, which is ours."""

from deploy.local.environment import Environment, kafka_servers, mongo_url, redis_url
from deploy.local.ports import HOST
from deploy.local.stack import ROOT, Stack

BLACKBOX = ROOT / "deploy" / "blackbox" / "blackbox.yml"


def redis_command(stack: Stack, binary: str) -> list[str]:
    listen = ["-web.listen-address", f"{HOST}:{stack.ports.redis_exporter}"]
    return [binary, "-redis.addr", redis_url(stack).removesuffix("/0"), *listen]


def blackbox_command(stack: Stack, binary: str) -> list[str]:
    listen = f"--web.listen-address={HOST}:{stack.ports.blackbox_exporter}"
    return [binary, f"--config.file={BLACKBOX}", listen, "--log.level=warn"]


def server_exporter_environment(stack: Stack) -> Environment:
    """Return what `python -m deploy.server_exporter` needs."""
    return {
        "KAFKA__SERVERS": kafka_servers(stack),
        "MONGO__URL": mongo_url(stack),
        "INTERNAL__PORT": str(stack.ports.server_exporter),
        "MEASURE_SECONDS": "5",
    }
