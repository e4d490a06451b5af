"""A practitioner's dossier, which every page of theirs needs for its list and the to-dos in the menu."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from kit.core.clock import shanghai_date
from kit.core.errors import AppError
from services.portal.client.models import Dispute, Kind, Record, Signature
from services.portal.client.practitioner import PractitionerClient
from services.portal.domain import ITEMS, Column, Item, ToDo, columns_of, item_of, to_dos
from services.portal.session.page_context import PageContext

ROWS_PER_PAGE = 50


@dataclass(frozen=True)
class Dossier:
    """Records, signature and to-dos of a person; `current` is the name of the open menu item."""

    client: PractitionerClient
    kinds: dict[str, Kind]
    records: list[Record]
    signature: Signature | None
    to_dos: list[ToDo]
    current: str

    @property
    def menu(self) -> list[tuple[Item, int]]:
        """The nine items, each with its number of urgent to-dos."""
        counts = Counter(one.item.name for one in self.to_dos if one.tone != "wait")
        return [(item, counts[item.name]) for item in ITEMS]

    def count(self, item: Item) -> int:
        """The number of records of an item."""
        return sum(record.kind in item.kinds for record in self.records)


async def dossier_of(context: PageContext, current: str = "") -> Dossier:
    """The dossier of the practitioner who is logged in. Raises `Unavailable` if records is unavailable."""
    client = context.client
    kinds, records, signature = await asyncio.gather(
        context.portal.catalogue.kinds(), client.records(), signature_of(client)
    )
    open_to_dos = to_dos(records, kinds, signature, shanghai_date(context.portal.clock.now()))
    return Dossier(client, kinds, records, signature, open_to_dos, current)


async def open_record(context: PageContext, record_id: str) -> tuple[Record, Dossier]:
    """A record, and the dossier with its item open."""
    record, dossier = await asyncio.gather(context.client.record(record_id), dossier_of(context))
    return record, replace(dossier, current=item_of(record.kind).name)


@dataclass(frozen=True)
class Table:
    """One page of a person's records of one kind."""

    kind: Kind
    columns: Sequence[Column]
    records: Sequence[Record]
    total: int
    page: int
    more: bool


def tables_of(records: Sequence[Record], kinds: Iterable[Kind], turned: str, page: int) -> list[Table]:
    """A table for each kind: `turned` at `page` or its last page, the others at the first."""
    return [_table(records, kind, page if kind.name == turned else 1) for kind in kinds]


def _table(records: Sequence[Record], kind: Kind, page: int) -> Table:
    of_kind = [record for record in records if record.kind == kind.name]
    page = min(page, max(1, ceil(len(of_kind) / ROWS_PER_PAGE)))
    first = (page - 1) * ROWS_PER_PAGE
    end = first + ROWS_PER_PAGE
    return Table(kind, columns_of(kind), of_kind[first:end], len(of_kind), page, end < len(of_kind))


async def disputes_of(client: PractitionerClient, kinds: Iterable[Kind]) -> Mapping[str, Dispute]:
    """The newest dispute of each record, by the record's id; none if sources keep none of these kinds."""
    if all(kind.maintained_by == "practitioner" for kind in kinds):
        return {}
    return {one.record_id: one for one in reversed(await client.disputes())}


async def signature_of(client: PractitionerClient) -> Signature | None:
    """The signature; None if the service signature is unavailable."""
    try:
        return await client.signature()
    except AppError:
        return None
