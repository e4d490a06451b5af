"""Requests to send something, and what there is to know for them: written down once, handed to the sender."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from contracts.attachments import AttachmentChanged
from contracts.identity import CertificateChanged, CodeRequested, ErasureRequested, ProofRequested
from contracts.signature import SignatureChanged
from kit.core.clock import Clock
from kit.core.documents import field_of
from kit.core.errors import Reject
from kit.core.events import EventData
from kit.core.ids import derived_id
from kit.mongo import Conflict, Duplicate, Projection
from services.notify.domain import Message
from services.notify.envelopes import MessageCipher
from services.notify.receipts import Receipts
from services.notify.settings import NoticeSettings, SendingSettings
from services.notify.store import Messages
from services.notify.templates import CATALOGUE

HandOver = Callable[[Message], Awaitable[None]]

NOTICES = {
    "issued": "certificate_issued",
    "rebound": "certificate_rebound",
    "revoked": "certificate_revoked",
    "rebinding_requested": "rebinding_requested",
}
MOVED = "certificate_moved"
"""To the phone that was bound before."""


class Requests:
    """A message is named by its request: asked for twice, it is written, and so sent, once."""

    def __init__(
        self,
        messages: Messages,
        contacts: Projection,
        envelopes: MessageCipher,
        receipts: Receipts,
        hand_over: HandOver,
        sending: SendingSettings,
        notices: NoticeSettings,
        clock: Clock,
    ) -> None:
        self._messages, self._contacts, self._envelopes, self._receipts = messages, contacts, envelopes, receipts
        self._hand_over = hand_over
        self._grace, self._notices, self._clock = timedelta(seconds=sending.grace_seconds), notices, clock
        self._until_seen = timedelta(seconds=notices.wait_seconds)

    async def code_requested(self, event: CodeRequested | ProofRequested) -> None:
        """Send the code. Raises `Reject` when it can't be read or no operator would take it."""
        if event.purpose not in CATALOGUE:
            raise Reject("no text for this code")
        code = self._envelopes.code(event)
        await self._queue(
            derived_id("code", event.challenge_id, str(event.version)), event.practitioner_id, event.purpose,
            about=event.challenge_id, phone=code.phone, variables=[code.code], before=event.send_before,
        )  # fmt: skip

    async def certificate_changed(self, event: CertificateChanged) -> None:
        """Keep or remove the person's contact, and tell the phone that is or was bound; both, where it was moved."""
        before = await self._known_before(event)
        bound = self._envelopes.contact(event.contact, event.practitioner_id) if event.contact else None
        await self._tell_of_certificate(event, NOTICES.get(event.action), bound or before)
        if bound and before not in (None, bound):
            await self._tell_of_certificate(event, MOVED, before)
        # forgotten last: until then whatever is told again finds both phones
        kept = self._envelopes.kept_contact(bound, event.practitioner_id) if bound else None
        await self._contacts.put(event.practitioner_id, event.version, {"phone_sealed": kept})

    async def _tell_of_certificate(self, event: CertificateChanged, purpose: str | None, phone: str | None) -> None:
        before = event.at + timedelta(seconds=self._notices.lifetime_seconds)
        if before <= self._clock.now():  # who reads the topic from its beginning writes to nobody
            return
        if purpose and phone and self._notices.certificates:
            parts = [event.certificate_id, str(event.version), *([MOVED] if purpose == MOVED else [])]
            await self._queue(
                derived_id("certificate", *parts), event.practitioner_id, purpose,
                about=event.certificate_id, phone=phone, variables=[], before=before,
            )  # fmt: skip

    async def attachment_changed(self, event: AttachmentChanged) -> None:
        """Tell who uploaded a scan that it was refused, unless they see it, delete or replace the scan before long."""
        if event.seen or event.state == "deleted":
            await self._withdraw(event.attachment_id)
        elif event.state == "refused" and self._notices.scans:
            await self._notify(event, event.attachment_id, "scan_refused", by="attachments", wait=self._until_seen)

    async def signature_changed(self, event: SignatureChanged) -> None:
        """Tell who uploaded a signed form that it was refused, unless they see it or upload another before long."""
        if event.seen or event.state == "replaced":
            await self._withdraw(event.signature_id)
        elif event.state == "refused" and self._notices.signatures:
            await self._notify(event, event.signature_id, "signature_refused", by="signature", wait=self._until_seen)

    async def erasure_requested(self, event: ErasureRequested) -> None:
        """Tell the person, who may object; there is no switch for it."""
        await self._notify(event, event.erasure_id, "erasure_requested", by="identity", wait=timedelta(0))

    async def _notify(self, event: EventData, about: str, purpose: str, *, by: str, wait: timedelta) -> None:
        """A notice to the phone that is known, unless it is too late to be worth reading."""
        before = event.at + timedelta(seconds=self._notices.lifetime_seconds)
        known = await self._contacts.get(event.practitioner_id)
        if before <= self._clock.now() or not known or not known["phone_sealed"]:
            return
        phone = self._envelopes.open_contact(str(known["phone_sealed"]), event.practitioner_id)
        await self._queue(
            derived_id(purpose, about, str(event.version)), event.practitioner_id, purpose,
            about=about, phone=phone, variables=[], before=before, by=by, wait=wait,
        )  # fmt: skip

    async def _withdraw(self, about: str) -> None:
        """Withdraw notices about this that still wait; a message that is being sent is not stopped."""
        for message in await self._messages.queued_about(about):
            with suppress(Conflict):
                await self._receipts.withdraw(message)

    async def _known_before(self, event: CertificateChanged) -> str | None:
        """The phone that was bound before this version, as far as it is known."""
        known = await self._contacts.get(event.practitioner_id)
        if not known or not known["phone_sealed"] or field_of(known, "version", int) >= event.version:
            return None
        return self._envelopes.open_contact(str(known["phone_sealed"]), event.practitioner_id)

    async def _queue(
        self, identity: str, person: str, purpose: str, *,
        about: str, phone: str, variables: Sequence[str], before: datetime, by: str = "identity",
        wait: timedelta = timedelta(0),
    ) -> None:  # fmt: skip
        """Write the message down, to be sent after `wait`; due later, in case this process does not live to send it."""
        if not CATALOGUE[purpose].takes(variables):
            raise Reject(f"no operator takes such variables for {purpose}")
        now = self._clock.now()
        message = Message.queued(
            identity, person, purpose, about, self._envelopes.addressed(identity, phone, variables),
            send_before=before, due_at=now + (wait or self._grace), at=now, by=by,
        )  # fmt: skip
        try:
            await self._messages.insert(message)
        except Duplicate:
            return
        if not wait:
            await self._hand_over(message)
