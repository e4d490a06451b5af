"""The measured stack: its addresses, the settings of its processes, and access tokens."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from deploy.local.programs import service_programs
from deploy.local.stack import Stack as LocalStack
from deploy.local.supervisor import Supervisor
from kit import mongo
from kit.core.clock import SystemClock
from kit.mongo import Database
from kit.security.tokens import Caller, TokenIssuer
from kit.settings import KafkaSettings, MongoSettings, TokenSettings

TOKEN_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Stack:
    """The stack that a `stack.json` describes."""

    file: dict[str, Any]

    @classmethod
    def running(cls) -> "Stack":
        """Return the stack of STACK_FILE."""
        return cls(json.loads(Path(os.environ["STACK_FILE"]).read_text()))

    def environment(self, process: str) -> dict[str, str]:
        """Return the settings of a process like `records-api`."""
        path = Path(self.file["environments"]) / f"{process}.json"
        return dict(json.loads(path.read_text()))

    @property
    def kafka(self) -> KafkaSettings:
        """Return the Kafka settings of the services, with the super user."""
        settings = self.environment("records-worker")
        login = {"user": self.file["kafka_user"], "password": self.file["kafka_password"], "ca": self.file["ca"]}
        known = {"servers": self.file["kafka"], "partitions": settings["KAFKA__PARTITIONS"]}
        return KafkaSettings.model_validate(known | login)

    @asynccontextmanager
    async def database(self, name: str, *, patient: bool = False) -> AsyncIterator[Database]:
        """Open a database with the services' settings (majority, journaled)."""
        settings = MongoSettings(url=self.file["mongo"], ca=self.file["ca"])
        async with mongo.connect(settings, name, patient=patient) as database:
            yield database

    def privileged(self, process: str) -> dict[str, str]:
        """Return the settings of a process with the super user's login at MongoDB, for databases of the benchmark."""
        return self.environment(process) | {"MONGO__URL": self.file["mongo"]}

    def port(self, service: str) -> int:
        """Return the port of a service's public API."""
        return _port(self.file["services"][service]["api"])

    @property
    def gateway_port(self) -> int:
        """Return the port of the gateway."""
        return _port(self.file["gateway"])

    def processes(self) -> dict[str, int]:
        """Return the ids of our own processes, by name."""
        wanted = service_programs(self.plan)
        return {name: pid for name, pid in self.programs().items() if name in wanted}

    def programs(self) -> dict[str, int]:
        """Return the ids of all supervised processes, servers included, by name."""
        return {each["name"]: int(each["pid"]) for each in Supervisor(self.plan).programs()}

    @property
    def servers(self) -> Path:
        """Return the folder with a folder for each server's data."""
        return self.plan.servers

    @property
    def plan(self) -> LocalStack:
        """Return the stack's description."""
        return LocalStack.named(self.file["name"], Path(self.file["data"]))

    def token(self, person: str) -> str:
        """Return a practitioner's access token, signed as identity does, without a log-in."""
        return self._issuer.issue(Caller(subject=person, kind="practitioner"))

    def client_token(self, identity: str, scope: str) -> str:
        """Return an access token of an API client."""
        return self._issuer.issue(Caller(subject=identity, kind="client", scopes=frozenset({scope})))

    def staff_token(self, identity: str, role: str) -> str:
        """Return an access token of staff."""
        return self._issuer.issue(Caller(subject=identity, kind="staff", roles=frozenset({role})))

    @cached_property
    def _issuer(self) -> TokenIssuer:
        identity = self.environment("identity-api")
        keys = [OKPKey.import_key(key) for key in json.loads(identity["SIGNING__KEYS"])]
        names = ("issuer", "audience", "jwks_url")
        settings = TokenSettings(**{name: identity[f"TOKENS__{name.upper()}"] for name in names})
        return TokenIssuer(keys, settings, SystemClock(), TOKEN_SECONDS)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
