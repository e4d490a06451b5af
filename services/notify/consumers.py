"""What notify's worker reads, and who handles it."""

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
    """One method for each event: requests to send a message, and changes that people are notified of."""

    requests: Requests
    erasure: Erasure

    async def send_code(self, event: CodeRequested | ProofRequested) -> None:
        """A code to log in, or to prove something."""
        await self.requests.code_requested(event)

    async def follow_certificate(self, event: CertificateChanged) -> None:
        """A phone was bound, or is bound no more."""
        await self.requests.certificate_changed(event)

    async def tell_of_erasure(self, event: ErasureRequested) -> None:
        """Somebody asked for the person's erasure."""
        await self.requests.erasure_requested(event)

    async def follow_scan(self, event: AttachmentChanged) -> None:
        """A scan was refused, or seen since."""
        await self.requests.attachment_changed(event)

    async def follow_signature(self, event: SignatureChanged) -> None:
        """A signed sheet was refused, or seen since."""
        await self.requests.signature_changed(event)

    async def erase(self, event: Event) -> None:
        """Somebody is to be erased."""
        await self.erasure.handle(event)


GROUPS = (
    Group(
        "notify.requests",
        on(CodeRequested, Handlers.send_code),
        on(ProofRequested, Handlers.send_code),
        on(ErasureRequested, Handlers.tell_of_erasure),
    ),
    # a group of its own: codes do not wait behind the backlog of identity.changes
    Group("notify.certificates", on(CertificateChanged, Handlers.follow_certificate)),
    Group("notify.scans", on(AttachmentChanged, Handlers.follow_scan)),
    Group("notify.signatures", on(SignatureChanged, Handlers.follow_signature)),
    Group("notify.erasures", on_raw(PractitionerErased, Handlers.erase), for_erased=True),
)
