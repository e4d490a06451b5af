"""The stack to be measured: its addresses, the settings its processes were started with, tokens for its doors."""

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
    """As `stack.json` describes it."""

    file: dict[str, Any]

    @classmethod
    def running(cls) -> "Stack":
        """The one that STACK_FILE names."""
        return cls(json.loads(Path(os.environ["STACK_FILE"]).read_text()))

    def environment(self, process: str) -> dict[str, str]:
        """The settings of a process like `records-api`."""
        path = Path(self.file["environments"]) / f"{process}.json"
        return dict(json.loads(path.read_text()))

    @property
    def kafka(self) -> KafkaSettings:
        """As the services have them."""
        settings = self.environment("records-worker")
        return KafkaSettings(servers=self.file["kafka"], partitions=int(settings["KAFKA__PARTITIONS"]))

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[Database]:
        """A database with the services' own settings (majority, journaled)."""
        async with mongo.connect(MongoSettings(url=self.file["mongo"]), name) as database:
            yield database

    def port(self, service: str) -> int:
        """Of a service's public API."""
        return _port(self.file["services"][service]["api"])

    @property
    def gateway_port(self) -> int:
        """Of the one public door."""
        return _port(self.file["gateway"])

    def processes(self) -> dict[str, int]:
        """Process ids of our own processes, by name."""
        stack = LocalStack.named(self.file["name"], Path(self.file["data"]))
        wanted = service_programs()
        return {each["name"]: int(each["pid"]) for each in Supervisor(stack).programs() if each["name"] in wanted}

    def token(self, person: str) -> str:
        """A practitioner's access token, signed as identity signs it: no login is needed."""
        return self._issuer.issue(Caller(subject=person, kind="practitioner"))

    def staff_token(self, identity: str, role: str) -> str:
        """An access token of staff."""
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
