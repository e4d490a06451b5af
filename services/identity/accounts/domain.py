"""The entities of accounts: staff and API clients, with their transitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from contracts.sessions import EndReason
from kit.core.documents import Document
from kit.core.ids import derived_id

Change = Literal["changed", "disabled", "enabled", "reset", "password_changed", "passkey_removed"]
END_REASONS: Mapping[Change, EndReason] = {
    "changed": "staff_changed",
    "disabled": "staff_disabled",
    "enabled": "staff_changed",
    "reset": "credentials_reset",
    "password_changed": "password_changed",
    "passkey_removed": "passkey_removed",
}
"""Why the sessions of an account end, by its change."""


def staff_id(username: str) -> str:
    """The id of a member of staff."""
    return derived_id("staff", username)


def client_id_of(name: str) -> str:
    """The id of an API client's document."""
    return derived_id("client", name)


@dataclass(frozen=True)
class TemporaryPassword:
    """The hash of a generated password, and until when its owner can log in with it to choose another one."""

    hash: str
    until: datetime


class Passkey(BaseModel):
    """A passkey of a member of staff. `credential_id` and `key` are base64url; `synced`: their devices may share it."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    credential_id: str
    key: str
    sign_count: int
    synced: bool
    created_at: datetime
    used_at: datetime | None = None


class Staff(Document):
    """An account of staff. `last_step`: the TOTP time step that was used last.

    `credentials` counts the changes of password, TOTP secret, roles and `enabled`, and removed passkeys: each ends all
    sessions with `end_reason`, except `kept_session`, in which the owner made the change. `password_until`: the
    password is a temporary one, which expires then and permits nothing but choosing another one.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {
        "password_hash", "totp_sealed", "last_step", "credentials", "kept_session", "end_reason", "passkeys",
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
    passkeys: tuple[Passkey, ...] = ()

    @classmethod
    def created(
        cls, username: str, password_hash: str, totp_sealed: str, roles: list[str], *, at: datetime, by: str,
        password_until: datetime | None = None,
    ) -> Self:  # fmt: skip
        """The first version of an account."""
        return cls.first(
            at=at, by=by, action="created", id=staff_id(username), username=username, password_hash=password_hash,
            password_until=password_until, totp_sealed=totp_sealed, roles=roles,
        )  # fmt: skip

    def logged_in(self, step: int, *, at: datetime) -> Self:
        """A TOTP code was used. Log-ins are not recorded in the history: it would grow without bound."""
        used = self.next_version({"last_step": step}, at=at, by=f"staff:{self.id}", action="logged_in")
        return used.model_copy(update={"history": self.history})

    def passkey_used(self, passkey_id: str, sign_count: int, *, at: datetime) -> Self:
        """A passkey was used to log in; not recorded in the history."""
        passkeys = [
            each.model_copy(update={"sign_count": sign_count, "used_at": at}) if each.id == passkey_id else each
            for each in self.passkeys
        ]
        used = self.next_version({"passkeys": passkeys}, at=at, by=f"staff:{self.id}", action="logged_in")
        return used.model_copy(update={"history": self.history})

    def replaced(self, password_hash: str, totp_sealed: str, roles: list[str], *, at: datetime, by: str) -> Self:
        """A command replaced password, TOTP secret and roles, and removed the passkeys."""
        given = {"password_hash": password_hash, "password_until": None, "totp_sealed": totp_sealed, "roles": roles}
        return self._other_credentials(given | {"passkeys": ()}, at, by, "changed")

    def with_roles(self, roles: list[str], *, at: datetime, by: str) -> Self:
        """Other roles, with the same credentials."""
        return self._other_credentials({"roles": roles}, at, by, "changed")

    def switched(self, *, enabled: bool, at: datetime, by: str) -> Self:
        """Disabled: log-in is refused. Enabled: the same credentials work again."""
        return self._other_credentials({"enabled": enabled}, at, by, "enabled" if enabled else "disabled")

    def reset(
        self, password: TemporaryPassword | None, totp_sealed: str | None, *, passkeys: bool, at: datetime, by: str
    ) -> Self:
        """An admin or a command replaced password (by a temporary one) or TOTP secret, or removed the `passkeys`."""
        changes: dict[str, object] = {"passkeys": ()} if passkeys else {}
        if password:
            changes |= {"password_hash": password.hash, "password_until": password.until}
        if totp_sealed:
            changes |= {"totp_sealed": totp_sealed, "last_step": 0}
        return self._other_credentials(changes, at, by, "reset")

    def password_chosen(self, password_hash: str, kept_session: str, *, at: datetime, by: str) -> Self:
        """The owner chose another password, in a session that stays open."""
        chosen = {"password_hash": password_hash, "password_until": None}
        return self._other_credentials(chosen, at, by, "password_changed", kept_session)

    def passkey_added(self, passkey: Passkey, *, at: datetime, by: str) -> Self:
        """The owner added a passkey; sessions stay."""
        return self.next_version({"passkeys": [*self.passkeys, passkey]}, at=at, by=by, action="passkey_added")

    def passkey_removed(self, passkey_id: str, kept_session: str | None, *, at: datetime, by: str) -> Self:
        """The owner, in `kept_session`, or an admin removed a passkey, which may be lost."""
        others = [each for each in self.passkeys if each.id != passkey_id]
        return self._other_credentials({"passkeys": others}, at, by, "passkey_removed", kept_session)

    def _other_credentials(
        self, changes: Mapping[str, object], at: datetime, by: str, action: Change, kept: str | None = None
    ) -> Self:
        ending = {"credentials": self.credentials + 1, "kept_session": kept, "end_reason": END_REASONS[action]}
        return self.next_version({**changes, **ending}, at=at, by=by, action=action)

    @property
    def roles_now(self) -> list[str]:
        """The roles of a session: none while the password is a temporary one."""
        return [] if self.password_until else self.roles

    def may_log_in(self, now: datetime) -> bool:
        """Whether the account is enabled and its password has not expired."""
        return self.enabled and (self.password_until is None or now < self.password_until)


class Client(Document):
    """An API client and its scopes. After a secret is replaced, the former one is valid until `former_until`.

    `told`: the client was published; False only in documents of releases that published no clients.
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
        """Another secret and scopes; the current secret stays valid until `former_until`."""
        former = {"former_hash": self.secret_hash, "former_until": former_until}
        fields = {"secret_hash": secret_hash, "scopes": scopes, "told": True, **former}
        return self.next_version(fields, at=at, by=by, action="changed")

    def switched(self, *, enabled: bool, at: datetime, by: str) -> Self:
        """Enabled: the client gets tokens. Disabled: it gets none."""
        action = "enabled" if enabled else "disabled"
        return self.next_version({"enabled": enabled, "told": True}, at=at, by=by, action=action)

    def published(self, *, at: datetime, by: str) -> Self:
        """A client that an earlier release created is published."""
        return self.next_version({"told": True}, at=at, by=by, action="told")
