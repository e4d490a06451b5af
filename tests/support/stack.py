"""The running stack of real servers, found through STACK_FILE."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2

from deploy.local.stack import Stack
from deploy.local.supervisor import Supervisor
from kit.runtime.tls import client_context
from kit.security.encryption import Cipher
from kit.settings import BlobSettings, KafkaSettings, KeyRing, MongoSettings, RedisSettings

HOW = "these tests need the stack of real servers: run them with `make test` (one of them: make test a='-k name')"


@dataclass(frozen=True)
class RunningStack:
    """Addresses of the stack's servers, for the super user, and the environment of each of its processes."""

    facts: dict[str, Any]

    @classmethod
    def from_environment(cls) -> Self:
        path = os.environ.get("STACK_FILE")
        if not path or not Path(path).exists():
            raise RuntimeError(HOW)
        return cls(json.loads(Path(path).read_text()))

    @property
    def gateway(self) -> str:
        return str(self.facts["gateway"])

    @property
    def ca(self) -> Path:
        """The certificate of the stack's authority."""
        return Path(self.facts["ca"])

    @property
    def kafka(self) -> KafkaSettings:
        return self.kafka_settings()

    @property
    def mongo(self) -> MongoSettings:
        return MongoSettings(url=self.facts["mongo"], ca=self.ca)

    @property
    def redis(self) -> RedisSettings:
        return RedisSettings(url=self.redis_url(), ca=self.ca)

    def redis_url(self, database: int = 0) -> str:
        return str(self.facts["redis"]).replace("/0?", f"/{database}?")

    def blobs(self, bucket: str) -> BlobSettings:
        return BlobSettings.model_validate({**self.facts["s3"], "bucket": bucket, "ca": self.ca})

    def http(self, base_url: str = "", seconds: float = 20) -> httpx2.AsyncClient:
        """A client for the ports of our own processes, which accepts only certificates of the stack's authority."""
        return httpx2.AsyncClient(base_url=base_url, timeout=seconds, verify=client_context(self.ca))

    def cipher(self, service: str) -> Cipher:
        """A cipher with the service's keys."""
        environment = self.environment(f"{service}-api")
        return Cipher(KeyRing(keys=json.loads(environment["SEAL__KEYS"]), current=environment["SEAL__CURRENT"]))

    def environment(self, program: str) -> dict[str, str]:
        """The environment of a process of the stack, like `records-worker`."""
        text = (Path(self.facts["environments"]) / f"{program}.json").read_text()
        return {str(name): str(value) for name, value in json.loads(text).items()}

    def privileged(self, program: str) -> dict[str, str]:
        """The environment of a process with the super user's login, for databases and topics of one test."""
        s3, user, password = self.facts["s3"], self.facts["kafka_user"], self.facts["kafka_password"]
        kafka = {"KAFKA__USER": user, "KAFKA__PASSWORD": password}
        keys = {"BLOBS__ACCESS_KEY": s3["access_key"], "BLOBS__SECRET_KEY": s3["secret_key"]}
        return (
            self.environment(program)
            | kafka
            | keys
            | {"MONGO__URL": self.facts["mongo"], "REDIS__URL": self.redis_url()}
        )

    def log(self, program: str) -> Path:
        """The log of a process of the stack, like `records-worker`."""
        return Path(self.facts["data"]) / "logs" / f"{program}.log"

    def kafka_settings(self, partitions: int = 3) -> KafkaSettings:
        """Settings for kit components that run in a test; a dead group member is noticed after two seconds."""
        return KafkaSettings(
            servers=self.facts["kafka"], user=self.facts["kafka_user"], password=self.facts["kafka_password"],
            ca=self.ca, partitions=partitions, session_timeout_ms=2_000, call_timeout_seconds=10,
        )  # fmt: skip

    @property
    def plan(self) -> Stack:
        """The stack's description: its programs, their addresses and folders."""
        return Stack.named(self.facts["name"], Path(self.facts["data"]))

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.plan)
