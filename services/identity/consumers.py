"""The consumer groups of identity's worker, and the handlers of their events."""

from dataclasses import dataclass

from contracts import attachments, identity, records, signature
from contracts.access import AccessLogged
from contracts.audit import ActionRecorded
from contracts.notify import MessageChanged
from kit.core.events import Event
from kit.messaging.groups import Group, on, on_raw
from kit.privacy.erasure import Erasure
from services.identity.audit.domain import Action
from services.identity.audit.service import AuditTrail
from services.identity.login.codes import Codes
from services.identity.login.domain import CODES
from services.identity.practitioners.access_log import AccessLog

ACCESS_EVENTS = (identity.AccessLogged, records.AccessLogged, attachments.AccessLogged, signature.AccessLogged)


@dataclass(frozen=True)
class Handlers:
    """One method for each type of event."""

    codes: Codes
    accesses: AccessLog
    erasure: Erasure
    trail: AuditTrail

    async def note_delivery(self, event: MessageChanged) -> None:
        """Store how far the SMS of a code is, as notify reports it."""
        if event.purpose in CODES.values():
            await self.codes.note_delivery(event)

    async def store_access(self, event: AccessLogged) -> None:
        """Store an access to a person's dossier, reported by any service."""
        await self.accesses.store(event)

    async def audit_access(self, event: Event) -> None:
        """Append an access to the audit trail; it has no event of its own for that."""
        found = AccessLogged.model_validate_json(event.data)
        await self.trail.append(Action.of_access(event_id(event), found))

    async def audit_action(self, event: Event) -> None:
        """Append an action to the audit trail."""
        found = ActionRecorded.model_validate_json(event.data)
        await self.trail.append(Action.of_event(event_id(event), found))

    async def erase(self, event: Event) -> None:
        """Erase a person; identity itself publishes this event."""
        await self.erasure.handle(event)


def event_id(event: Event) -> str:
    """What identifies an event among those of all services: source and id (CloudEvents 1.0 §3.1)."""
    return f"{event.source} {event.id}"


ACCESSES = Group("identity.access", *(on(event, Handlers.store_access) for event in ACCESS_EVENTS))
AUDIT = Group(
    "identity.audit",
    on_raw(ActionRecorded, Handlers.audit_action),
    *(on_raw(event, Handlers.audit_access) for event in ACCESS_EVENTS),
    for_erased=True,
)
GROUPS = (
    Group("identity.delivery", on(MessageChanged, Handlers.note_delivery)),
    ACCESSES,
    AUDIT,
    Group("identity.erasures", on_raw(identity.PractitionerErased, Handlers.erase), for_erased=True),
)
