"""The consumer groups of notify and their handlers."""

from dataclasses import dataclass

from contracts.attachments import AttachmentChanged
from contracts.identity import (
    CertificateChanged,
    CodeRequested,
    ErasureRequested,
    PractitionerErased,
    ProofRequested,
)
from contracts.signature import SignatureChanged
from kit.core.events import Event
from kit.messaging.groups import Group, on, on_raw
from kit.privacy.erasure import Erasure
from services.notify.requests import Requests


@dataclass(frozen=True)
class Handlers:
    """One method for each event: requests for a message, and changes that people are notified of."""

    requests: Requests
    erasure: Erasure

    async def send_code(self, event: CodeRequested | ProofRequested) -> None:
        """Send a code to log in, or to confirm an operation."""
        await self.requests.code_requested(event)

    async def follow_certificate(self, event: CertificateChanged) -> None:
        """Notify the phone that was bound or unbound."""
        await self.requests.certificate_changed(event)

    async def notify_of_erasure(self, event: ErasureRequested) -> None:
        """Notify the person that their erasure was requested."""
        await self.requests.erasure_requested(event)

    async def follow_scan(self, event: AttachmentChanged) -> None:
        """Notify the owner of a refused scan, or withdraw the notice."""
        await self.requests.attachment_changed(event)

    async def follow_signature(self, event: SignatureChanged) -> None:
        """Notify the owner of a refused signature sheet, or withdraw the notice."""
        await self.requests.signature_changed(event)

    async def erase(self, event: Event) -> None:
        """Remove everything stored of an erased person."""
        await self.erasure.handle(event)


GROUPS = (
    Group(
        "notify.requests",
        on(CodeRequested, Handlers.send_code),
        on(ProofRequested, Handlers.send_code),
        on(ErasureRequested, Handlers.notify_of_erasure),
    ),
    # a separate group, so that codes do not wait for the backlog of identity.changes
    Group("notify.certificates", on(CertificateChanged, Handlers.follow_certificate)),
    Group("notify.scans", on(AttachmentChanged, Handlers.follow_scan)),
    Group("notify.signatures", on(SignatureChanged, Handlers.follow_signature)),
    Group("notify.erasures", on_raw(PractitionerErased, Handlers.erase), for_erased=True),
)
