"""Events of the audit trail: actions, which every service publishes, and the signed heads of the chain."""

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from kit.core.audit import ActionRecorded as ActionRecorded
from kit.core.events import EventData

HEAD_TYPE = "audit-head+jws"
"""The type (`typ`) of a signed head."""


class HeadSigned(EventData):
    """The audit trail up to an entry was signed: whoever keeps this event can prove a later change of these entries."""

    TYPE: ClassVar[str] = "audit.head.signed.v1"
    TOPIC: ClassVar[str] = "audit.heads"
    SUBJECT: ClassVar[str] = "head_id"

    head_id: str
    number: int = Field(description="of the head: 1, 2, 3 …")
    sequence: int = Field(description="of the last entry that it covers")
    hash: str = Field(description="of this entry")
    signed_at: datetime
    statement: str = Field(description="number, sequence, hash, time and the hash of the head before, as a signed JWS")
