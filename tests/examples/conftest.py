"""The example subscribers as an outsider runs them: copied out of this repository, with access to Kafka only."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.local.stack import ROOT
from kit import mongo
from tests.support.names import own_name
from tests.support.node import with_packages
from tests.support.people import Person
from tests.support.stack import RunningStack

ONCE_WITHIN = 120
Records = Mapping[str, tuple[int, str, dict[str, Any]]]
"""Version, state and fields by record id."""


@dataclass
class Program:
    """A subscriber that runs beside the test, and can be killed and restarted."""

    command: Sequence[str | Path]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs the program for the length of the block; its output is in output.log of its folder."""
        self._start()
        try:
            yield
        finally:
            self._end(signal.SIGKILL)

    def killed(self) -> None:
        """Kills it with SIGKILL and restarts it."""
        self._end(signal.SIGKILL)
        self._start()

    def _start(self) -> None:
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, env=os.environ | self.environment, stdout=output, stderr=output
            )

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "output.log").read_text()
        self._process.send_signal(how)
        self._process.wait(10)


@dataclass
class Downstream:
    """The Python subscriber with its database."""

    folder: Path
    kafka: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        return Program(self._command("records.db"), self.folder, self.environment)

    async def once(self, database: str = "records.db", since: str = "") -> None:
        """Runs it until it has read everything."""
        command = [*self._command(database), "--once", *(["--since", since] if since else [])]
        environment = os.environ | self.environment
        await asyncio.to_thread(
            subprocess.run, command, cwd=self.folder, env=environment, check=True, timeout=ONCE_WITHIN
        )

    def rows(self, query: str, database: str = "records.db") -> list[tuple[Any, ...]]:
        """The result of a query; empty while there are no tables."""
        with closing(sqlite3.connect(self.folder / database)) as connection, suppress(sqlite3.OperationalError):
            return connection.execute(query).fetchall()
        return []

    def records(self, people: Sequence[Person], database: str = "records.db") -> Records:
        persons = {person.id for person in people}
        rows = self.rows("SELECT record_id, version, state, data, practitioner_id FROM records", database)
        return {row[0]: (row[1], row[2], json.loads(row[3])) for row in rows if row[4] in persons}

    def _command(self, database: str) -> list[str]:
        return [sys.executable, "subscriber.py", "--kafka", self.kafka, "--database", database]


def copied(folder: Path, kafka: str, environment: Mapping[str, str] | None = None) -> Downstream:
    shutil.copy(ROOT / "examples" / "subscriber" / "subscriber.py", folder)
    return Downstream(folder, kafka, environment or {})


def in_javascript(folder: Path, kafka: str, group: str, environment: Mapping[str, str] | None = None) -> Program:
    """The subscriber in JavaScript; it stores records.json in the folder."""
    program = with_packages(ROOT / "examples" / "subscriber-node") / "subscriber.mjs"
    return Program(["node", program, kafka, group], folder, environment or {})


def login(stack: RunningStack) -> dict[str, str]:
    """The environment of the examples, as the stack's own subscriber."""
    user, password = (stack.facts["subscriber"][name] for name in ("user", "password"))
    return {"KAFKA_USER": user, "KAFKA_PASSWORD": password, "KAFKA_CA": str(stack.ca)}


@pytest.fixture
def downstream(stack: RunningStack, tmp_path: Path) -> Downstream:
    return copied(tmp_path, stack.kafka.servers, login(stack))


@pytest.fixture
def node_downstream(stack: RunningStack, tmp_path: Path) -> Program:
    return in_javascript(tmp_path, stack.kafka.servers, f"demo.{own_name('example')}", login(stack))


@pytest_asyncio.fixture
async def source(stack: RunningStack) -> AsyncIterator["Source"]:
    async with mongo.connect(stack.mongo, "records") as database:
        yield Source(database)


@dataclass
class Source:
    """The data of the service itself."""

    database: mongo.Database

    async def records(self, people: Sequence[Person]) -> Records:
        persons = [person.id for person in people]
        found = self.database["records"].find({"practitioner_id": {"$in": persons}})
        return {str(each["_id"]): (each["version"], each["state"], each["data"]) async for each in found}
