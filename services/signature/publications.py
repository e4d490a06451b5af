"""Publications of signature: the events for each version of a document."""

from contracts.signature import AccessLogged, FormChanged, SignatureChanged
from kit.core.events import NewEvent, Publication
from kit.mongo import Fields
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.action_audit import OPERATIONS
from services.signature.store import FORMS, SIGNATURES


def form_changed(document: Fields) -> list[NewEvent]:
    """One event for each version of a signature sheet: printed, or outdated."""
    return [FormChanged.of(document, form_id=document["_id"])]


def signature_changed(document: Fields) -> list[NewEvent]:
    """One event for each version of a signature, with its complete state."""
    return [SignatureChanged.of(document, signature_id=document["_id"], seen=document.get("seen", False))]


def access_logged(document: Fields) -> list[NewEvent]:
    """One event for each access by somebody else."""
    return [AccessLogged.of(document, access_id=document["_id"])]


PUBLICATIONS: dict[str, Publication] = {
    FORMS: form_changed,
    SIGNATURES: signature_changed,
    ACCESS_LOG: access_logged,
    **OPERATIONS,
}
