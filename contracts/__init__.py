"""The events that services publish: one module per producer, data only (`python -m contracts write|check`)."""

from contracts import attachments, audit, identity, notify, records, signature
from kit.core.events import EventData

EVENTS: tuple[type[EventData], ...] = (
    identity.PractitionerChanged,
    identity.CertificateChanged,
    identity.ClientChanged,
    identity.PractitionerErased,
    identity.ErasureRequested,
    identity.CodeRequested,
    identity.ProofRequested,
    identity.AccessLogged,
    records.RecordChanged,
    records.AccessLogged,
    attachments.AttachmentChanged,
    attachments.AccessLogged,
    signature.FormChanged,
    signature.SignatureChanged,
    signature.AccessLogged,
    notify.MessageChanged,
    audit.ActionRecorded,
    audit.HeadSigned,
)
