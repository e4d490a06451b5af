"""The entity of a request that needs a second person, with its transitions."""

from datetime import datetime
from typing import ClassVar, Literal, Self

from kit.core.documents import Document
from kit.core.ids import derived_id, new_id

Action = Literal["save", "create", "roles", "enable", "reset"]
"""`save`: a command gave credentials and roles; `create`: an account with generated credentials."""
State = Literal["waiting", "approved", "carried_out", "outdated", "refused", "bypassed"]
BOOTSTRAP = derived_id("approval", "bootstrap")
"""The id of the document that the first admin's account of an empty installation is created with."""


class Approval(Document):
    """A request: what is to be done with which account, until when it can be approved, and what became of it.

    `expected`: the number of changes of the account's credentials when it was requested, None for an account that did
    not exist: if the account was changed since, the request is outdated. `password_hash` and `totp_sealed`: what a
    command gave; removed with the decision. `approved`: claimed by the second person, who carries it out at once.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"password_hash", "totp_sealed", "expected"}

    asked: Action
    account: str
    username: str
    roles: list[str]
    reason: str
    requester: str
    requester_name: str
    expected: int | None
    password_hash: str | None = None
    totp_sealed: str | None = None
    expires_at: datetime
    state: State = "waiting"
    decided_by: str | None = None
    decided_at: datetime | None = None

    @classmethod
    def requested(cls, *, at: datetime, by: str, **fields: object) -> Self:
        """The first version."""
        return cls.first(at=at, by=by, action="requested", id=new_id(), requester=by, **fields)

    @classmethod
    def bypassed(cls, *, at: datetime, by: str, **fields: object) -> Self:
        """The record of a command that was carried out without approval, in an emergency."""
        return cls.first(at=at, by=by, action="bypassed", id=new_id(), requester=by, state="bypassed", **fields)

    @classmethod
    def bootstrap(cls, account: str, username: str, *, at: datetime, by: str) -> Self:
        """The record of the first admin, whom nobody could approve; its id exists once."""
        done = {"state": "carried_out", "reason": "", "expires_at": at, "expected": None}
        return cls.first(
            at=at, by=by, action="bootstrap", id=BOOTSTRAP, asked="save", account=account, username=username, roles=[],
            requester=by, requester_name=by, **done,
        )  # fmt: skip

    def approved(self, name: str, *, at: datetime, by: str) -> Self:
        """Claimed by the second person."""
        return self._decided("approved", name, at, by)

    def refused(self, name: str, *, at: datetime, by: str) -> Self:
        """Refused by a second person, or withdrawn by the requester."""
        return self._decided("refused", name, at, by)

    def carried_out(self, *, at: datetime, by: str) -> Self:
        """The approved change was made."""
        return self.next_version({"state": "carried_out"}, at=at, by=by, action="carried_out")

    def outdated(self, *, at: datetime, by: str) -> Self:
        """The account was changed since the request: nothing was done."""
        return self.next_version({"state": "outdated"}, at=at, by=by, action="outdated")

    def _decided(self, state: State, name: str, at: datetime, by: str) -> Self:
        changes = {"state": state, "decided_by": name, "decided_at": at, "password_hash": None, "totp_sealed": None}
        return self.next_version(changes, at=at, by=by, action=state)

    def is_open(self, now: datetime) -> bool:
        """Whether it can be decided."""
        return self.state == "waiting" and now < self.expires_at
