"""document → events of records."""

from contracts.records import RecordChanged
from kit.events import NewEvent
from kit.mongo import Fields
from kit.publisher import Publication
from services.records.store import COLLECTION


def record_changed(document: Fields) -> list[NewEvent]:
    """Every version of a record is one event with its whole current state."""
    return [RecordChanged.of(document, record_id=document["_id"])]


PUBLICATIONS: dict[str, Publication] = {COLLECTION: record_changed}
