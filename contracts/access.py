"""Accesses to a person's dossier by others: each service publishes its own, identity stores all of them."""

from kit.core.events import EventData

READERS = ("clerk", "admin")
"""The roles of staff who may read a person's file, each time with a reason."""


class AccessLogged(EventData):
    """Somebody read a file that is not their own: `who` is a staff or client id, `what` a type of document."""

    access_id: str
    who: str
    role: str
    what: str
    document_id: str
    reason: str
