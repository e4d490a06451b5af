"""Registers that send files of rows, and the same rows changed: the rows of a finished import are acknowledged."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kit.core.ids import derived_id
from tests.support.identity_clients import Citizen
from tests.support.imports import ENDED, Sender, as_csv, registration
from tests.sweep.answers import pause_before_retry, unanswered
from tests.sweep.history import NEVER, Operation, digest
from tests.sweep.logins import LoginPages
from tests.sweep.writers import Writer

ROWS, PEOPLE = 120, 12
"""Of one file: rows, and the people whom they are about."""
TRIES_SECONDS = 120
"""How long a file is sent again, and its import followed."""
KIND, SYSTEM = "registration", "注册系统"


@dataclass
class Importer:
    """One register; `writer` has its name, log and random numbers. Nobody else writes its records."""

    writer: Writer
    pages: LoginPages
    sender: Sender
    _people: list[Citizen] = field(default_factory=list)

    async def act(self) -> None:
        """A file of new rows, then the same rows changed; not the second one if that of the first one is unknown."""
        if len(self._people) < PEOPLE and (citizen := await self.pages.enrol()):
            self._people.append(citizen)
            self.writer.dossiers.persons.add(citizen.id)
        if self._people:
            keys = [self.writer.key() for _ in range(ROWS)]
            if await self._sent(keys, 0):
                await self._sent(keys, 1)

    async def _sent(self, keys: Sequence[str], expected: int) -> bool:
        """Whether a file with these rows was imported as a whole, and only once."""
        invoked, words = time.monotonic(), [self.writer.key() for _ in keys]
        owners = [self._people[place % len(self._people)] for place in range(len(keys))]
        rows = [_row(*each) for each in zip(owners, keys, words, strict=True)]
        until = invoked + TRIES_SECONDS
        import_id, once = await self._accepted(as_csv(rows), until)
        imported = bool(import_id) and await self._finished(import_id, until)
        returned = time.monotonic() if imported else NEVER
        for owner, key, word in zip(owners, keys, words, strict=True):
            self._note(owner, key, word, expected, invoked, returned)
        return imported and once

    async def _accepted(self, content: bytes, until: float) -> tuple[str, bool]:
        """The id of the import, empty if the file was not accepted in time; and whether it is certainly the only one.

        A second import of the same rows changes nothing, but may come after that of the changed rows.
        """
        once = True
        while time.monotonic() < until:
            answer = await self.writer.answers.ask(self.sender.send(KIND, content), 202, 429)
            if answer is not None and answer.status_code == 202:
                return str(answer.json()["import_id"]), once
            once = once and not unanswered(answer)
            await pause_before_retry(answer)
        return "", once

    async def _finished(self, import_id: str, until: float) -> bool:
        """Whether the import has ended with every row."""
        while time.monotonic() < until:
            answer = await self.writer.answers.ask(self.sender.look(import_id), 200)
            if answer is not None and answer.status_code == 200 and (progress := answer.json())["state"] in ENDED:
                return bool(progress["state"] == "finished" and progress["rows_failed"] == 0)
            await pause_before_retry(answer)
        return False

    def _note(self, owner: Citizen, key: str, word: str, expected: int, invoked: float, returned: float) -> None:
        record, sent = derived_id("source", KIND, SYSTEM, key), digest(_data(key, word))
        known = returned != NEVER
        self.writer.history.add(
            Operation(
                self.writer.name, owner.id, record, "edit" if expected else "create", expected, invoked, returned,
                "ok" if known else "unknown", sent, expected + 1 if known else None, sent if known else "",
            )
        )  # fmt: skip


def _row(owner: Citizen, key: str, word: str) -> dict[str, str]:
    return registration(owner.number, key, 所在企业名称=word)


def _data(key: str, word: str) -> Mapping[str, object]:
    """A row's data in its record."""
    return {
        "category": "一级注册建造师", "certificate_no": f"沪1{key}", "seal_no": None,
        "specialities": ["建筑工程", "市政公用工程"], "valid_until": None, "issuing_authority": None,
        "issued_on": "2014-03-01", "employer": word, "employer_code": None, "status": None,
    }  # fmt: skip
