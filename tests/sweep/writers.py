"""Clients of records: each creates, edits, deletes and reads the records of the load's people, one call at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from tests.support.people import EDUCATION, Person
from tests.sweep.answers import Answer, Answers, has_status, pause_before_retry, unanswered
from tests.sweep.history import DELETED, NEVER, Created, History, Kind, Operation, Outcome, digest

WRITES_OF_A_PERSON = 1_000
"""Then another person takes the place: a person's quota is 2,000 an hour."""
LIVE_RECORDS = 8
TRIES_SECONDS = 60
"""How long a client retries a create."""
MIX = {"create": 15, "edit": 43, "delete": 6, "read": 24, "race": 6, "repeat": 6}


@dataclass
class Dossier:
    """A person and what they know of their records; every client may work for them."""

    person: Person
    known: dict[str, int] = field(default_factory=dict)
    """By record: the newest version that an answer showed."""
    gone: deque[str] = field(default_factory=lambda: deque(maxlen=4))
    creates: deque[tuple[str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=16))
    """Acknowledged creates: key and data."""
    writes: int = 0

    def note(self, record: str, version: int) -> None:
        if record not in self.gone:
            self.known[record] = max(version, self.known.get(record, 0))

    def note_gone(self, record: str) -> None:
        if self.known.pop(record, 0):
            self.gone.append(record)


@dataclass
class Dossiers:
    """The people of the load; a person who has written enough is replaced."""

    make: Callable[[], Person]
    places: list[Dossier] = field(default_factory=list)
    persons: set[str] = field(default_factory=set)

    def new_person(self) -> Person:
        person = self.make()
        self.persons.add(person.id)
        return person

    def open(self, count: int) -> None:
        self.places += [Dossier(self.new_person()) for _ in range(count)]

    def pick(self, random: Random) -> Dossier:
        place = random.randrange(len(self.places))
        if self.places[place].writes >= WRITES_OF_A_PERSON:
            self.places[place] = Dossier(self.new_person())
        return self.places[place]


@dataclass
class Writer:
    """One client. Its choices depend on the seed; their outcome and interleaving do not."""

    name: str
    dossiers: Dossiers
    answers: Answers
    history: History
    random: Random

    async def act(self) -> None:
        """One operation, with its retries."""
        dossier = self.dossiers.pick(self.random)
        (kind,) = self.random.choices([*MIX], [*MIX.values()])
        records = [*dossier.known]
        if len(records) < 2 or (kind == "create" and len(records) < LIVE_RECORDS):
            await self.create(dossier)
        elif kind == "read":
            await self.read(dossier, self.random.choice([*records, *dossier.gone]))
        elif kind == "delete":
            await self.delete(dossier, self.random.choice(records))
        elif kind == "race":
            await self._race(dossier, self.random.choice(records))
        elif kind == "repeat" and dossier.creates:
            await self._repeat(dossier)
        else:
            await self._edit_and_read(dossier, self.random.choice(records))

    async def create(self, dossier: Dossier) -> str:
        """Create a record, retried with the same key until it is answered. Returns its id, empty if it never was."""
        key, data = self.key(), self._data()
        dossier.writes += 1
        invoked, lost = time.monotonic(), False
        while time.monotonic() - invoked < TRIES_SECONDS:
            answer = await self.answers.ask(dossier.person.create(data, key=key), 201, 429)
            if answer is not None and answer.status_code == 201:
                return self._created(dossier, key, data, invoked, answer.json())
            lost = lost or unanswered(answer)
            await pause_before_retry(answer)
        operation = self._operation(dossier, "", "create", 0, invoked, digest(data))
        self.history.add(operation("unknown" if lost else "refused"))
        return ""

    def _created(
        self, dossier: Dossier, key: str, data: dict[str, Any], invoked: float, body: dict[str, Any]
    ) -> str:  # fmt: skip
        record = str(body["record_id"])
        self.history.add(Created(key, record, digest(body)))
        operation = self._operation(dossier, record, "create", 0, invoked, digest(data))
        self.history.add(operation("ok", int(body["version"]), digest(body["data"])))
        dossier.creates.append((key, data))
        dossier.note(record, 1)
        return record

    async def _repeat(self, dossier: Dossier) -> None:
        """An acknowledged create again, with its key: the answer must be the same."""
        key, data = self.random.choice(dossier.creates)
        dossier.writes += 1
        answer = await self.answers.ask(dossier.person.create(data, key=key), 201, 429)
        if answer is not None and answer.status_code == 201:
            self.history.add(Created(key, answer.json()["record_id"], digest(answer.json())))

    async def _edit_and_read(self, dossier: Dossier, record: str) -> None:
        await self.edit(dossier, record)
        if self.random.random() < 0.2:
            await self.read(dossier, record)

    async def _race(self, dossier: Dossier, record: str) -> None:
        """Two devices write the same version at the same time."""
        other = self.edit if self.random.random() < 0.8 else self.delete
        await asyncio.gather(self.edit(dossier, record), other(dossier, record))

    async def edit(self, dossier: Dossier, record: str) -> None:
        """Replace the version that the person knows; without an answer a later read shows what became of it."""
        expected, data = dossier.known[record], self._data()
        dossier.writes += 1
        operation = self._operation(dossier, record, "edit", expected, time.monotonic(), digest(data))
        answer = await self.answers.ask(dossier.person.change(record, expected, data), 200, 404, 412, 429)
        self._log_write(dossier, record, operation, answer)

    async def delete(self, dossier: Dossier, record: str) -> None:
        """Delete the version that the person knows."""
        expected = dossier.known[record]
        dossier.writes += 1
        operation = self._operation(dossier, record, "delete", expected, time.monotonic(), DELETED)
        answer = await self.answers.ask(dossier.person.delete(record, expected), 204, 404, 412, 429)
        if has_status(answer, 204):
            dossier.note_gone(record)
            self.history.add(operation("ok", expected + 1, DELETED))
        else:
            self._log_write(dossier, record, operation, answer)

    async def read(self, dossier: Dossier, record: str) -> None:
        """Read a record, also one that is deleted."""
        operation = self._operation(dossier, record, "read", 0, time.monotonic(), "")
        answer = await self.answers.ask(dossier.person.get(record), 200, 404)
        if answer is not None and answer.status_code == 200:
            body = answer.json()
            dossier.note(record, body["version"])
            self.history.add(operation("ok", body["version"], digest(body["data"])))
        elif has_status(answer, 404):
            dossier.note_gone(record)
            self.history.add(operation("refused", None, DELETED))

    def _log_write(self, dossier: Dossier, record: str, operation: "Logged", answer: Answer) -> None:
        if answer is None or unanswered(answer):
            self.history.add(operation("unknown"))
        elif answer.status_code == 404:
            dossier.note_gone(record)
            self.history.add(operation("refused", None, DELETED))
        elif answer.status_code in (200, 412):
            body = answer.json() if answer.status_code == 200 else answer.json()["current"]
            outcome: Outcome = "ok" if answer.status_code == 200 else "refused"
            dossier.note(record, body["version"])
            self.history.add(operation(outcome, body["version"], digest(body["data"])))
        else:
            self.history.add(operation("refused"))

    def _operation(
        self, dossier: Dossier, record: str, kind: Kind, expected: int, invoked: float, sent: str
    ) -> "Logged":  # fmt: skip
        return Logged(self.name, dossier.person.id, record, kind, expected, invoked, sent)

    def _data(self) -> dict[str, Any]:
        """Data that no other write has, so that a read shows which write it has seen."""
        return EDUCATION | {"major": self.key()}

    def key(self) -> str:
        """A new id by the random numbers of the seed."""
        return str(UUID(int=self.random.getrandbits(128), version=4))


@dataclass(frozen=True)
class Logged:
    """An operation that was invoked; called with its outcome it is an entry of the log."""

    client: str
    person: str
    record: str
    kind: Kind
    expected: int
    invoked: float
    sent: str

    def __call__(self, outcome: Outcome, version: int | None = None, seen: str = "") -> Operation:
        returned = NEVER if outcome == "unknown" else time.monotonic()
        return Operation(
            self.client, self.person, self.record, self.kind, self.expected, self.invoked, returned,
            outcome, self.sent, version, seen,
        )  # fmt: skip


async def paced(act: Callable[[], Awaitable[object]], pause: float, first: float, stop: asyncio.Event) -> None:
    """Call `act` every `pause` seconds until `stop`; calls that are late are made up for, within limits."""
    clock = asyncio.get_running_loop().time
    due = clock() + first
    while not stop.is_set():
        try:
            async with asyncio.timeout(max(0.0, due - clock())):
                await stop.wait()
        except TimeoutError:
            await act()
            due = max(due + pause, clock() - 1)
