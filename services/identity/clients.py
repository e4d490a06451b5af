"""An API client, as the store keeps it."""

from datetime import datetime
from typing import ClassVar

from kit.documents import Document


class Client(Document):
    """An API client and what it may do. While a secret is replaced the one before it still works for a time.

    `told`: not of those that earlier versions made, which published none.
    """

    BOOKKEEPING: ClassVar[frozenset[str]] = Document.BOOKKEEPING | {"secret_hash", "former_hash", "told"}

    client_id: str
    secret_hash: str
    former_hash: str | None = None
    former_until: datetime | None = None
    scopes: list[str]
    enabled: bool = True
    told: bool = False
