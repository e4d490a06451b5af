"""Turns events into messages: each is stored once, then enqueued for the sender."""

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
from services.notify.domain import UNKNOWN, Addressed, Message
from services.notify.encryption import MessageCipher
from services.notify.receipts import Receipts
from services.notify.settings import NoticeSettings, SendingSettings
from services.notify.store import Messages
from services.notify.templates import CATALOGUE

Enqueue = Callable[[Message], Awaitable[None]]

NOTICES = {
    "issued": "certificate_issued",
    "rebound": "certificate_rebound",
    "revoked": "certificate_revoked",
    "rebinding_requested": "rebinding_requested",
}
MOVED = "certificate_moved"
"""The notice to the phone that was bound before."""


class Requests:
    """Stores a message for each event that needs one, under an id derived from the event: idempotent."""

    def __init__(
        self,
        messages: Messages,
        contacts: Projection,
        cipher: MessageCipher,
        receipts: Receipts,
        enqueue: Enqueue,
        sending: SendingSettings,
        notices: NoticeSettings,
        clock: Clock,
    ) -> None:
        self._messages = messages
        self._contacts = contacts
        self._cipher = cipher
        self._receipts = receipts
        self._enqueue = enqueue
        self._notices = notices
        self._clock = clock
        self._grace = timedelta(seconds=sending.grace_seconds)
        self._until_seen = timedelta(seconds=notices.wait_seconds)

    async def code_requested(self, event: CodeRequested | ProofRequested) -> None:
        """Send the code. Raises `Reject` if it cannot be decrypted or does not fit the template."""
        if event.purpose not in CATALOGUE:
            raise Reject("no template for this purpose")
        code = self._cipher.code(event)
        await self._queue(
            derived_id("code", event.challenge_id, str(event.version)), event.practitioner_id, event.purpose,
            about=event.challenge_id, phone=code.phone, variables=[code.code], before=event.send_before,
        )  # fmt: skip

    async def certificate_changed(self, event: CertificateChanged) -> None:
        """Store or remove the person's phone; notify the phone that is bound or was unbound, both after a rebinding."""
        before = await self._phone_before(event)
        bound = self._cipher.contact(event.contact, event.practitioner_id) if event.contact else None
        await self._notify_of_certificate(event, NOTICES.get(event.action), bound or before)
        if bound and before not in (None, bound):
            await self._notify_of_certificate(event, MOVED, before)
        # stored last: if this fails, the retried event still finds the phone that was bound before
        encrypted = self._cipher.encrypt_contact(bound, event.practitioner_id) if bound else None
        await self._contacts.put(event.practitioner_id, event.version, {"phone_sealed": encrypted})

    async def _notify_of_certificate(self, event: CertificateChanged, purpose: str | None, phone: str | None) -> None:
        before = event.at + timedelta(seconds=self._notices.lifetime_seconds)
        if before <= self._clock.now():  # a group that reads the topic from its beginning sends no old notices
            return
        if purpose and phone and self._notices.certificates:
            parts = [event.certificate_id, str(event.version), *([MOVED] if purpose == MOVED else [])]
            await self._queue(
                derived_id("certificate", *parts), event.practitioner_id, purpose,
                about=event.certificate_id, phone=phone, variables=[], before=before,
            )  # fmt: skip

    async def attachment_changed(self, event: AttachmentChanged) -> None:
        """Notify the owner of a refused scan, unless they see the verdict or delete the scan within `wait_seconds`."""
        if event.seen or event.state == "deleted":
            await self._withdraw(event.attachment_id)
        elif event.state == "refused" and self._notices.scans:
            await self._notify(event, event.attachment_id, "scan_refused", by="attachments", wait=self._until_seen)

    async def signature_changed(self, event: SignatureChanged) -> None:
        """Notify the owner of a refused sheet, unless they see the verdict or upload another within `wait_seconds`."""
        if event.seen or event.state == "replaced":
            await self._withdraw(event.signature_id)
        elif event.state == "refused" and self._notices.signatures:
            await self._notify(event, event.signature_id, "signature_refused", by="signature", wait=self._until_seen)

    async def erasure_requested(self, event: ErasureRequested) -> None:
        """Notify the person, who may object; this notice cannot be turned off."""
        await self._notify(event, event.erasure_id, "erasure_requested", by="identity", wait=timedelta(0))

    async def _notify(self, event: EventData, about: str, purpose: str, *, by: str, wait: timedelta) -> None:
        """Queue a notice for the person's bound phone, if it is not too old.

        The sender looks the phone up: this group may be ahead of the one that follows certificates.
        """
        before = event.at + timedelta(seconds=self._notices.lifetime_seconds)
        if before > self._clock.now():
            identity = derived_id(purpose, about, str(event.version))
            await self._store(
                identity, event.practitioner_id, purpose, UNKNOWN, about=about, before=before, by=by, wait=wait
            )

    async def _withdraw(self, about: str) -> None:
        """Withdraw the queued notices about this object; a message that is being sent is not stopped."""
        for message in await self._messages.queued_about(about):
            with suppress(Conflict):
                await self._receipts.withdraw(message)

    async def _phone_before(self, event: CertificateChanged) -> str | None:
        """The phone that was bound before this version; None if no older version is stored."""
        contact = await self._contacts.get(event.practitioner_id)
        if not contact or not contact["phone_sealed"] or field_of(contact, "version", int) >= event.version:
            return None
        return self._cipher.decrypt_contact(str(contact["phone_sealed"]), event.practitioner_id)

    async def _queue(
        self, identity: str, person: str, purpose: str, *,
        about: str, phone: str, variables: Sequence[str], before: datetime,
    ) -> None:  # fmt: skip
        if not CATALOGUE[purpose].accepts(variables):
            raise Reject(f"the variables do not fit the template for {purpose}")
        addressed = self._cipher.addressed(identity, phone, variables)
        await self._store(identity, person, purpose, addressed, about=about, before=before)

    async def _store(
        self, identity: str, person: str, purpose: str, addressed: Addressed, *,
        about: str, before: datetime, by: str = "identity", wait: timedelta = timedelta(0),
    ) -> None:  # fmt: skip
        """Store the message and enqueue it, or leave it due after `wait`.

        An enqueued message is also due after `grace_seconds`, so that another worker sends it if this one crashes.
        """
        now = self._clock.now()
        message = Message.queued(
            identity, person, purpose, about, addressed,
            send_before=before, due_at=now + (wait or self._grace), at=now, by=by,
        )  # fmt: skip
        try:
            await self._messages.insert(message)
        except Duplicate:
            return
        if not wait:
            await self._enqueue(message)
