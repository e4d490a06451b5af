"""The documents of accounts: staff and API clients. Methods make each of their versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from contracts.sessions import EndReason
from kit.core.documents import Document
from kit.core.ids import derived_id

Change = Literal["changed", "disabled", "enabled", "reset", "password_changed"]
END_REASONS: Mapping[Change, EndReason] = {
    "changed": "staff_changed",
    "disabled": "staff_disabled",
    "enabled": "staff_changed",
    "reset": "credentials_reset",
    "password_changed": "password_changed",
}
"""Why sessions end with each change of an account."""


def staff_id(username: str) -> str:
    """The id of a member of staff."""
    return derived_id("staff", username)


def client_id_of(name: str) -> str:
    """The id of an API client's document."""
    return derived_id("client", name)


@dataclass(frozen=True)
class MadePassword:
    """The hash of a password that was made for somebody, and until when they may use it to choose another one."""

    hash: str
    until: datetime


class Staff(Document):
    """A member of staff; `last_step` is the TOTP time step that was used last.

    `credentials` counts the changes of password, TOTP secret, roles and `enabled`: each ends all sessions for
    `end_reason`, but for `kept_session`, in which the person made it. `password_until`: the password was made for the
    person, who can do nothing with it but choose another one, until then.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {
        "password_hash", "totp_sealed", "last_step", "credentials", "kept_session", "end_reason",
    }  # fmt: skip

    username: str
    password_hash: str
    totp_sealed: str
    roles: list[str]
    last_step: int = 0
    enabled: bool = True
    credentials: int = 0
    kept_session: str | None = None
    end_reason: EndReason = "staff_changed"
    password_until: datetime | None = None

    @classmethod
    def created(
        cls, username: str, password_hash: str, totp_sealed: str, roles: list[str], *, at: datetime, by: str
    ) -> Self:
        """Another member of staff."""
        return cls.first(
            at=at, by=by, action="created", id=staff_id(username), username=username, password_hash=password_hash,
            totp_sealed=totp_sealed, roles=roles,
        )  # fmt: skip

    def logged_in(self, step: int, *, at: datetime) -> Self:
        """A code was used. Log-ins are not kept in the history: it would fill."""
        used = self.next_version({"last_step": step}, at=at, by=f"staff:{self.id}", action="logged_in")
        return used.model_copy(update={"history": self.history})

    def replaced(self, password_hash: str, totp_sealed: str, roles: list[str], *, at: datetime, by: str) -> Self:
        """A command gave the account another password, TOTP secret and roles."""
        given = {"password_hash": password_hash, "password_until": None, "totp_sealed": totp_sealed, "roles": roles}
        return self._other_credentials(given, at, by, "changed")

    def switched(self, *, enabled: bool, at: datetime, by: str) -> Self:
        """Off: nobody logs in any more. On: they log in again, with what they had."""
        return self._other_credentials({"enabled": enabled}, at, by, "enabled" if enabled else "disabled")

    def reset(self, password: MadePassword | None, totp_sealed: str | None, *, at: datetime, by: str) -> Self:
        """Another password, another TOTP secret, or both were made for its owner."""
        made: dict[str, object] = {}
        if password:
            made |= {"password_hash": password.hash, "password_until": password.until}
        if totp_sealed:
            made |= {"totp_sealed": totp_sealed, "last_step": 0}
        return self._other_credentials(made, at, by, "reset")

    def password_chosen(self, password_hash: str, kept_session: str, *, at: datetime, by: str) -> Self:
        """Its owner chose another password, in a session that goes on."""
        chosen = {"password_hash": password_hash, "password_until": None}
        return self._other_credentials(chosen, at, by, "password_changed", kept_session)

    def _other_credentials(
        self, changes: Mapping[str, object], at: datetime, by: str, action: Change, kept: str | None = None
    ) -> Self:
        ending = {"credentials": self.credentials + 1, "kept_session": kept, "end_reason": END_REASONS[action]}
        return self.next_version({**changes, **ending}, at=at, by=by, action=action)

    @property
    def roles_now(self) -> list[str]:
        """What they may be in a session: nothing before they chose a password of their own."""
        return [] if self.password_until else self.roles

    def admitted(self, now: datetime) -> bool:
        """Whether they may log in."""
        return self.enabled and (self.password_until is None or now < self.password_until)


class Client(Document):
    """An API client and what it may do. While a secret is replaced the one before it still works for a time.

    `told`: not of those that earlier versions made, which published none.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"secret_hash", "former_hash", "told"}

    client_id: str
    secret_hash: str
    former_hash: str | None = None
    former_until: datetime | None = None
    scopes: list[str]
    enabled: bool = True
    told: bool = False

    @classmethod
    def created(cls, client_id: str, secret_hash: str, scopes: list[str], *, at: datetime, by: str) -> Self:
        """The first version of an API client."""
        fields = {"client_id": client_id, "secret_hash": secret_hash, "scopes": scopes, "told": True}
        return cls.first(at=at, by=by, action="created", id=client_id_of(client_id), **fields)

    def replaced(self, secret_hash: str, scopes: list[str], former_until: datetime, *, at: datetime, by: str) -> Self:
        """Another secret and scopes; the secret of now works on until `former_until`."""
        former = {"former_hash": self.secret_hash, "former_until": former_until}
        fields = {"secret_hash": secret_hash, "scopes": scopes, "told": True, **former}
        return self.next_version(fields, at=at, by=by, action="changed")

    def switched(self, *, enabled: bool, at: datetime, by: str) -> Self:
        """On: it gets tokens again. Off: no more."""
        action = "enabled" if enabled else "disabled"
        return self.next_version({"enabled": enabled, "told": True}, at=at, by=by, action=action)

    def published(self, *, at: datetime, by: str) -> Self:
        """A client that an earlier version made is published."""
        return self.next_version({"told": True}, at=at, by=by, action="told")
