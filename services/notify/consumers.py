"""event → method of notify."""

from collections.abc import Mapping

from contracts.attachments import AttachmentChanged
from contracts.identity import (
    CertificateChanged,
    CodeRequested,
    ErasureRequested,
    PractitionerErased,
    ProofRequested,
)
from contracts.signature import SignatureChanged
from kit.consumer import Handler
from kit.erasure import Erasure
from kit.events import Event
from services.notify.requests import Requests

GROUP = "notify.requests"
TOPICS = [CodeRequested.TOPIC]
# codes don't wait behind everything that identity ever told
CERTIFICATES_GROUP = "notify.certificates"
CERTIFICATES_TOPICS = [CertificateChanged.TOPIC]
SCANS_GROUP = "notify.scans"
SCANS_TOPICS = [AttachmentChanged.TOPIC]
SIGNATURES_GROUP = "notify.signatures"
SIGNATURES_TOPICS = [SignatureChanged.TOPIC]
ERASURES_GROUP = "notify.erasures"
ERASURES_TOPICS = [PractitionerErased.TOPIC]


def handlers(requests: Requests) -> Mapping[str, Handler]:
    """Requests to send something, and changes that people are told of."""

    async def code_requested(event: Event) -> None:
        await requests.code_requested(CodeRequested.model_validate_json(event.data))

    async def proof_requested(event: Event) -> None:
        await requests.code_requested(ProofRequested.model_validate_json(event.data))

    async def certificate_changed(event: Event) -> None:
        await requests.certificate_changed(CertificateChanged.model_validate_json(event.data))

    async def erasure_requested(event: Event) -> None:
        await requests.erasure_requested(ErasureRequested.model_validate_json(event.data))

    async def attachment_changed(event: Event) -> None:
        await requests.attachment_changed(AttachmentChanged.model_validate_json(event.data))

    async def signature_changed(event: Event) -> None:
        await requests.signature_changed(SignatureChanged.model_validate_json(event.data))

    return {
        CodeRequested.TYPE: code_requested,
        ProofRequested.TYPE: proof_requested,
        CertificateChanged.TYPE: certificate_changed,
        ErasureRequested.TYPE: erasure_requested,
        AttachmentChanged.TYPE: attachment_changed,
        SignatureChanged.TYPE: signature_changed,
    }


def erasures(erasure: Erasure) -> Mapping[str, Handler]:
    """Somebody is to be erased."""
    return {PractitionerErased.TYPE: erasure.handle}
