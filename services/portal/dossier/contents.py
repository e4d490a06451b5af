"""A person's whole file, as every page of theirs needs it: for its list, and for the to-dos in the menu."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from kit.core.clock import shanghai_date
from kit.core.errors import AppError
from services.portal.client.answers import Kind, Record, Signature
from services.portal.client.practitioner import PractitionerClient
from services.portal.domain import ITEMS, Column, Item, ToDo, columns_of, item_of, to_dos
from services.portal.session.visits import PageContext

ROWS = 50


@dataclass(frozen=True)
class Dossier:
    """What is known of a person; `here` is the name of the menu's item that is open."""

    own: PractitionerClient
    kinds: dict[str, Kind]
    records: list[Record]
    signature: Signature | None
    to_dos: list[ToDo]
    here: str

    @property
    def menu(self) -> list[tuple[Item, int]]:
        """The nine items and how much is to be done at each."""
        counts = Counter(one.item.name for one in self.to_dos if one.tone != "wait")
        return [(item, counts[item.name]) for item in ITEMS]

    def count(self, item: Item) -> int:
        """How many records an item has."""
        return sum(record.kind in item.kinds for record in self.records)


async def file_of(visit: PageContext, here: str = "") -> Dossier:
    """The file of who is logged in. Raises `Unavailable` when records is away."""
    own = visit.own_file
    kinds, records, signature = await asyncio.gather(visit.portal.catalogue.kinds(), own.records(), signature_of(own))
    wanted = to_dos(records, kinds, signature, shanghai_date(visit.portal.clock.now()))
    return Dossier(own, kinds, records, signature, wanted, here)


async def opened(visit: PageContext, record_id: str) -> tuple[Record, Dossier]:
    """A record, and the file with its item open."""
    record, file = await asyncio.gather(visit.own_file.record(record_id), file_of(visit))
    return record, replace(file, here=item_of(record.kind).name)


@dataclass(frozen=True)
class Table:
    """One page of a person's records of a kind; `page` is its number."""

    kind: Kind
    columns: Sequence[Column]
    records: Sequence[Record]
    total: int
    page: int
    more: bool


def tables_of(records: Sequence[Record], kinds: Iterable[Kind], turned: str, page: int) -> list[Table]:
    """A table for each kind: the one that was turned at this page or its last, the others at their first."""
    return [_table(records, kind, page if kind.name == turned else 1) for kind in kinds]


def _table(records: Sequence[Record], kind: Kind, page: int) -> Table:
    mine = [record for record in records if record.kind == kind.name]
    page = min(page, max(1, ceil(len(mine) / ROWS)))
    first = (page - 1) * ROWS
    return Table(kind, columns_of(kind), mine[first : first + ROWS], len(mine), page, first + ROWS < len(mine))


async def signature_of(own: PractitionerClient) -> Signature | None:
    """A page does without it when signature is away."""
    try:
        return await own.signature()
    except AppError:
        return None
