"""Accesses to a dossier as the person thinks of them: one visit for all that somebody read in one go."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.portal.client.models import AccessEntry

TOGETHER = timedelta(minutes=30)
"""The longest time between two accesses of a visit."""


@dataclass
class Visit:
    """Accesses of one person or system for one reason, each at most `TOGETHER` after the one before.

    `what`: what was read, in the order of reading, with how often.
    """

    who: str
    role: str
    reason: str
    began: datetime
    ended: datetime
    what: dict[str, int] = field(default_factory=dict)

    def takes(self, access: AccessEntry) -> bool:
        """Whether an access, later than those of the visit, belongs to it."""
        same = (access.who, access.role, access.reason) == (self.who, self.role, self.reason)
        return same and access.at - self.ended <= TOGETHER

    def add(self, access: AccessEntry) -> None:
        """Count the access."""
        self.ended = access.at
        self.what[access.what] = self.what.get(access.what, 0) + 1


def visits(accesses: Sequence[AccessEntry]) -> list[Visit]:
    """The visits of these accesses, which are newest first; those that ended last first."""
    found: list[Visit] = []
    for access in reversed(accesses):
        visit = next((each for each in reversed(found) if each.takes(access)), None)
        if visit is None:
            visit = Visit(access.who, access.role, access.reason, access.at, access.at)
            found.append(visit)
        visit.add(access)
    return sorted(found, key=lambda each: each.ended, reverse=True)
