"""Publications are not validated at run time: here each is checked against its contract, for random documents."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import EVENTS
from kit.core.documents import Document
from kit.core.events import EventData, Publication, encode
from kit.imports.model import COLLECTION as IMPORTS
from kit.imports.model import Import
from kit.privacy.access_audit import ACCESS_LOG, AccessEntry
from kit.privacy.action_audit import ACTIONS, KEYS, KeysInUse, RecordedAction
from services.attachments.domain import Attachment
from services.attachments.publications import PUBLICATIONS as ATTACHMENTS
from services.attachments.store import COLLECTION as SCANS
from services.identity.accounts.domain import Client, Staff
from services.identity.audit.domain import Head
from services.identity.audit.store import AUDIT_HEADS
from services.identity.certificates.domain import Certificate
from services.identity.erasures.domain import ErasureRequest
from services.identity.login.domain import Challenge
from services.identity.practitioners.domain import Practitioner
from services.identity.publications import PUBLICATIONS as IDENTITY
from services.identity.store import CERTIFICATES, CHALLENGES, CLIENTS, ERASURES, PRACTITIONERS, STAFF
from services.notify.domain import Message
from services.notify.publications import PUBLICATIONS as NOTIFY
from services.notify.store import MESSAGES
from services.records.disputes.domain import Dispute
from services.records.domain import Record
from services.records.publications import PUBLICATIONS as RECORDS
from services.records.store import COLLECTION, DISPUTES
from services.signature.domain import Signature, SignatureSheet
from services.signature.publications import PUBLICATIONS as SIGNATURE
from services.signature.store import FORMS, SIGNATURES

MODELS: Sequence[tuple[type[Document], Publication]] = [
    (Practitioner, IDENTITY[PRACTITIONERS]),
    (Certificate, IDENTITY[CERTIFICATES]),
    (Challenge, IDENTITY[CHALLENGES]),
    (Client, IDENTITY[CLIENTS]),
    (Staff, IDENTITY[STAFF]),
    (Import, IDENTITY[IMPORTS]),
    (RecordedAction, IDENTITY[ACTIONS]),
    (KeysInUse, NOTIFY[KEYS]),
    (Head, IDENTITY[AUDIT_HEADS]),
    (AccessEntry, IDENTITY[ACCESS_LOG]),
    (ErasureRequest, IDENTITY[ERASURES]),
    (Message, NOTIFY[MESSAGES]),
    (Record, RECORDS[COLLECTION]),
    (Dispute, RECORDS[DISPUTES]),
    (AccessEntry, RECORDS[ACCESS_LOG]),
    (Attachment, ATTACHMENTS[SCANS]),
    (AccessEntry, ATTACHMENTS[ACCESS_LOG]),
    (SignatureSheet, SIGNATURE[FORMS]),
    (Signature, SIGNATURE[SIGNATURES]),
    (AccessEntry, SIGNATURE[ACCESS_LOG]),
]
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))  # MongoDB holds no others
words = st.sampled_from(["requested", "resent", "created", "changed"])

# the values of these fields are narrower than their types
KNOWN: dict[str, st.SearchStrategy[object]] = {
    "action": words,
    "history": st.just([]),
    "version": st.integers(1, 10**9),
    "birth_date": st.dates().map(date.isoformat),
    "message": st.text(max_size=50),
    "purpose": st.sampled_from(["login", "bind_phone", "confirm"]),
    **dict.fromkeys(("created_at", "updated_at", "expires_at", "sent_at", "send_before"), moments),
}


def documents(model: type[Document]) -> st.SearchStrategy[Document]:
    chosen = {name: strategy for name, strategy in KNOWN.items() if name in model.model_fields}
    made = st.builds(model, **chosen)
    if model is ErasureRequest:
        return made.map(_as_far)
    return made.map(_reached) if model is Message else made


def _reached(message: Document) -> Document:
    """A message in the version that reached its state: the only ones that are published."""
    return message.model_copy(update={"action": cast(Message, message).state})


def _as_far(erasure: Document) -> Document:
    """A requested or completed erasure: the only ones that are published."""
    return erasure.model_copy(update={"state": "requested" if erasure.action == "requested" else "erased"})


def check(publication: Publication, document: Document) -> list[type[EventData]]:
    stored = document.model_dump(by_alias=True, exclude={"history"})
    events = list(publication(stored))
    for event in events:
        record = encode(event, "/test", 6)
        assert event.contract.model_validate_json(record.value or b"", strict=False).version == document.version
        assert record.topic == event.contract.TOPIC
        assert record.key.decode() == document.id
    return [event.contract for event in events]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_publication_keeps_its_contract(data: st.DataObject) -> None:
    model, publication = data.draw(st.sampled_from(MODELS))
    check(publication, data.draw(documents(model)))


def test_every_event_type_has_a_publication() -> None:
    found: set[type[EventData]] = set()

    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def look(data: st.DataObject) -> None:
        for model, publication in MODELS:
            found.update(check(publication, data.draw(documents(model))))

    look()
    assert found == set(EVENTS)
