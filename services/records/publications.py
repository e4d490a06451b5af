"""Which events each version of a document of records becomes."""

from contracts.records import AccessLogged, RecordChanged
from kit.core.events import NewEvent
from kit.messaging.publisher import Publication
from kit.mongo import Fields
from kit.privacy.access_audit import ACCESS_LOG
from services.records.store import COLLECTION


def record_changed(document: Fields) -> list[NewEvent]:
    """Every version of a record is one event with its whole current state."""
    return [RecordChanged.of(document, record_id=document["_id"])]


def access_logged(document: Fields) -> list[NewEvent]:
    """A look by somebody else."""
    return [AccessLogged.of(document, access_id=document["_id"])]


PUBLICATIONS: dict[str, Publication] = {COLLECTION: record_changed, ACCESS_LOG: access_logged}
