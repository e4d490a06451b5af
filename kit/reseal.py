"""Sealing anew with the current key what was sealed with an older one, so that the older one can be taken out.

In place: no new version, the text behind the seal is the same. Begun again it passes over what is done.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from kit import log, mongo
from kit.mongo import Database, Fields, translated
from kit.seal import Sealer
from kit.settings import ServiceSettings, read

S = TypeVar("S", bound=ServiceSettings)
logger = log.get(__name__)


@dataclass(frozen=True)
class Sealed:
    """A field with a sealed text, several, or none, in the documents of a collection and in their histories.

    `context`: what the seal of a document's field is bound to.
    """

    collection: str
    field: str
    sealer: Sealer
    context: Callable[[Fields], str]

    def renewed(self, document: Fields) -> dict[str, object]:
        """The document with this field sealed by the current key."""
        context = self.context(document)
        history = [self._entry(entry, context) for entry in cast(list[Fields], document.get("history", []))]
        kept = {"history": history} if "history" in document else {}
        return {**document, self.field: self._value(document.get(self.field), context), **kept}

    def _entry(self, entry: Fields, context: str) -> Fields:
        changes = [self._change(change, context) for change in cast(list[Fields], entry["changes"])]
        return {**entry, "changes": changes}

    def _change(self, change: Fields, context: str) -> Fields:
        if change["field"] != self.field:
            return change
        return {**change, **{name: self._value(change[name], context) for name in ("old", "new")}}

    def _value(self, value: object, context: str) -> object:
        if isinstance(value, list):
            return [self._value(each, context) for each in value]
        return self.sealer.renew(value, context) if isinstance(value, str) else value


async def reseal(database: Database, places: Sequence[Sealed]) -> int:
    """Seal anew all that needs it, until nothing does. Returns how many documents were written.

    Whoever writes at this moment goes before, perhaps with an old seal: then it is looked through once more.
    """
    total = 0
    while written := sum([await _pass(database, name, places) for name in dict.fromkeys(p.collection for p in places)]):
        total += written
    return total


async def _pass(database: Database, collection: str, places: Sequence[Sealed]) -> int:
    written, own = 0, [place for place in places if place.collection == collection]
    with translated():
        async for document in database[collection].find({}):
            renewed = document
            for place in own:
                renewed = place.renewed(renewed)
            if renewed != document:
                await database[collection].replace_one(
                    {"_id": document["_id"], "version": document["version"]}, renewed
                )
                written += 1
    logger.info("sealed anew", collection=collection, documents=written)
    return written


def command(name: str, settings: type[S], places: Callable[[S], Sequence[Sealed]]) -> Callable[[], None]:
    """`python -m services.<name> reseal`."""

    def run() -> None:
        """Seal with the current keys what was sealed with others: those can be taken out then."""
        log.configure(name, "reseal")
        asyncio.run(act())

    async def act() -> None:
        made = read(settings)
        async with mongo.connect(made.mongo, name) as database:
            await reseal(database, places(made))

    return run
