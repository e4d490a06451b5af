"""Accesses to a person's dossier by others: each service publishes its own, identity stores them all."""

from kit.core.events import EventData

READERS = ("clerk", "admin")
"""The roles of staff who may read a person's dossier, each time with an access reason."""


class AccessLogged(EventData):
    """Staff or an API client read another person's dossier: `who` is their id, `what` the type of the document."""

    access_id: str
    who: str
    role: str
    what: str
    document_id: str
    reason: str
