"""Publications of records: the events for each version of a document."""

from contracts.records import AccessLogged, RecordChanged
from kit.core.audit import Audited, with_audit
from kit.core.events import NewEvent, Publication
from kit.imports.model import AUDITED_IMPORT
from kit.imports.model import COLLECTION as IMPORTS
from kit.mongo import Fields
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.action_audit import OPERATIONS
from services.records.store import COLLECTION, DISPUTES


def record_changed(document: Fields) -> list[NewEvent]:
    """One event for each version of a record, with its complete state."""
    return [RecordChanged.of(document, record_id=document["_id"])]


def access_logged(document: Fields) -> list[NewEvent]:
    """One event for each access by somebody else."""
    return [AccessLogged.of(document, access_id=document["_id"])]


PUBLICATIONS: dict[str, Publication] = with_audit(
    {COLLECTION: record_changed, ACCESS_LOG: access_logged, **OPERATIONS},
    {IMPORTS: AUDITED_IMPORT, DISPUTES: Audited("dispute", ["outcome"], actions=["closed"])},
)
