"""The running stack of real servers, found through STACK_FILE."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deploy.local.stack import Stack
from deploy.local.supervisor import Supervisor
from kit.security.encryption import Cipher
from kit.settings import BlobSettings, KafkaSettings, KeyRing, MongoSettings, RedisSettings

HOW = "these tests need the stack of real servers: run them with `make test` (one of them: make test a='-k name')"


@dataclass(frozen=True)
class RunningStack:
    """Addresses of the stack's servers, and the environment of each of its processes."""

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
    def kafka(self) -> str:
        return str(self.facts["kafka"])

    @property
    def mongo(self) -> MongoSettings:
        return MongoSettings(url=self.facts["mongo"])

    @property
    def redis(self) -> RedisSettings:
        return RedisSettings(url=self.facts["redis"])

    def blobs(self, bucket: str) -> BlobSettings:
        return BlobSettings.model_validate({**self.facts["s3"], "bucket": bucket})

    def cipher(self, service: str) -> Cipher:
        """A cipher with the service's keys."""
        environment = self.environment(f"{service}-api")
        return Cipher(KeyRing(keys=json.loads(environment["SEAL__KEYS"]), current=environment["SEAL__CURRENT"]))

    def environment(self, program: str) -> dict[str, str]:
        """The environment of a process of the stack, like `records-worker`."""
        text = (Path(self.facts["environments"]) / f"{program}.json").read_text()
        return {str(name): str(value) for name, value in json.loads(text).items()}

    def log(self, program: str) -> Path:
        """The log of a process of the stack, like `records-worker`."""
        return Path(self.facts["data"]) / "logs" / f"{program}.log"

    def kafka_settings(self, partitions: int = 3) -> KafkaSettings:
        """Settings for kit components that run in a test; a dead group member is noticed after two seconds."""
        return KafkaSettings(
            servers=self.kafka, partitions=partitions, session_timeout_ms=2_000, call_timeout_seconds=10
        )

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(Stack.named(self.facts["name"], Path(self.facts["data"])))
