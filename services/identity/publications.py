"""document → events of identity."""

from typing import cast

from contracts.identity import CertificateChanged, CodeRequested, PractitionerChanged
from kit.events import NewEvent
from kit.mongo import Fields
from kit.publisher import Publication
from services.identity.store import CERTIFICATES, CHALLENGES, PRACTITIONERS

# names of stored fields that would only puzzle a subscriber, and what they are called outside
CALLED = {"number_sealed": "document_number", "address_sealed": "address", "phone_index": "phone"}
INSIDE = {"key", "number_index", "phone_hint", "contact", "device_id"}


def practitioner_changed(document: Fields) -> list[NewEvent]:
    """Every version of a person, without anything that identifies them."""
    return [
        PractitionerChanged.of(
            document,
            practitioner_id=document["_id"],
            birth_year=int(str(document["birth_date"])[:4]),
            changed=_outside(document),
        )
    ]


def certificate_changed(document: Fields) -> list[NewEvent]:
    """Every version of a certificate."""
    return [CertificateChanged.of(document, certificate_id=document["_id"], changed=_outside(document))]


def code_requested(document: Fields) -> list[NewEvent]:
    """Only a version that asks for sending is an event; tries and deliveries are identity's own business."""
    if document["action"] not in ("requested", "resent"):
        return []
    return [CodeRequested.of(document, challenge_id=document["_id"], purpose="login_code", changed=[])]


def _outside(document: Fields) -> list[str]:
    changed = cast(list[str], document["changed"])
    return [CALLED.get(name, name) for name in changed if name not in INSIDE]


PUBLICATIONS: dict[str, Publication] = {
    PRACTITIONERS: practitioner_changed,
    CERTIFICATES: certificate_changed,
    CHALLENGES: code_requested,
}
