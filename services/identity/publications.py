"""The events that each version of a document is published as."""

from typing import cast

from contracts.audit import HeadSigned
from contracts.identity import (
    AccessLogged,
    CertificateChanged,
    ClientChanged,
    CodeRequested,
    ErasureRequested,
    PractitionerChanged,
    PractitionerErased,
    ProofRequested,
)
from kit.core.audit import Audited, with_audit
from kit.core.documents import field_of
from kit.core.events import NewEvent, Publication
from kit.imports.model import AUDITED_IMPORT
from kit.imports.model import COLLECTION as IMPORTS
from kit.mongo import Fields
from kit.privacy.access_audit import ACCESS_LOG
from kit.privacy.action_audit import OPERATIONS
from services.identity.audit.domain import TRAIL
from services.identity.audit.store import AUDIT_HEADS
from services.identity.login.domain import CODES, Purpose
from services.identity.store import CERTIFICATES, CHALLENGES, CLIENTS, ERASURES, PRACTITIONERS, STAFF

# the public names of stored fields in `changed`; internal fields are left out
PUBLIC_NAMES = {"number_sealed": "document_number", "address_sealed": "address", "phone_index": "phone"}
PUBLIC_NAMES |= {"portrait_sha256": "portrait"}
INTERNAL_FIELDS = {"keys", "number_indexes", "former_numbers_sealed", "phone_hint", "contact", "device_id"}
INTERNAL_FIELDS |= {"portrait_key", "portrait_came_as", "place", "shared_reason"}


def practitioner_changed(document: Fields) -> list[NewEvent]:
    """Every version of a person, without personal data beyond name, sex, year of birth and document type."""
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


def client_changed(document: Fields) -> list[NewEvent]:
    """Every version of an API client."""
    return [ClientChanged.of(document, practitioner_id=document["_id"], changed=_outside(document))]


def code_requested(document: Fields) -> list[NewEvent]:
    """One event for each version that requests an SMS; attempts and deliveries are internal."""
    if document["action"] not in ("requested", "resent"):
        return []
    code = CODES[cast(Purpose, document.get("purpose", "login"))]
    event = CodeRequested if code == "login_code" else ProofRequested
    return [event.of(document, challenge_id=document["_id"], purpose=code, changed=[])]


def access_logged(document: Fields) -> list[NewEvent]:
    """An access to a person's data in identity by staff or an API client."""
    return [AccessLogged.of(document, access_id=document["_id"])]


def erasure_changed(document: Fields) -> list[NewEvent]:
    """The request of an erasure, and the erasure itself; neither contains the reason."""
    if document.get("state", "erased") == "erased":
        proof = document.get("proof")
        return [PractitionerErased.of(document, erasure_id=document["_id"], changed=[], proof=proof)]
    if document["action"] == "requested":
        return [ErasureRequested.of(document, erasure_id=document["_id"], changed=[])]
    return []


def head_signed(document: Fields) -> list[NewEvent]:
    """A signed head of the audit trail; whoever keeps it can prove a later change."""
    return [HeadSigned.of(document, head_id=document["_id"], practitioner_id=TRAIL, changed=[])]


def _outside(document: Fields) -> list[str]:
    changed: list[str] = field_of(document, "changed", list)
    return [PUBLIC_NAMES.get(name, name) for name in changed if name not in INTERNAL_FIELDS]


AUDITED = {
    PRACTITIONERS: Audited("person"),
    CERTIFICATES: Audited("certificate", ["state"]),
    STAFF: Audited("staff", ["roles", "enabled"]),
    CLIENTS: Audited("client", ["client_id", "scopes", "enabled"]),
    ERASURES: Audited("erasure", ["state", "due_at"]),
    IMPORTS: AUDITED_IMPORT,
}
"""The documents whose versions are entries of the audit trail. Accesses are too: from their own events."""
PUBLICATIONS: dict[str, Publication] = with_audit(
    {
        PRACTITIONERS: practitioner_changed,
        CERTIFICATES: certificate_changed,
        CLIENTS: client_changed,
        CHALLENGES: code_requested,
        ACCESS_LOG: access_logged,
        ERASURES: erasure_changed,
        AUDIT_HEADS: head_signed,
        **OPERATIONS,
    },
    AUDITED,
)
