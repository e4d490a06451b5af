"""What codes are for; the documents of log-ins: codes, sessions, known devices. Methods make each of their versions."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from contracts.sessions import EndReason
from kit.core.documents import Document
from services.identity.certificates.domain import Certificate

Purpose = Literal["login", "bind_phone", "confirm"]
"""What a code proves."""
CODES: dict[Purpose, str] = {"login": "login_code", "bind_phone": "bind_code", "confirm": "confirm_code"}
"""What each code is called in events and at notify."""
Delivery = Literal["requested", "sent", "delivered", "failed"]
ChallengeState = Literal["requested", "sent", "delivered", "failed", "expired", "used"]

SessionKind = Literal["practitioner", "staff"]


@dataclass(frozen=True)
class WrongCodes:
    """How many codes of a person were wrong in a row, and when the last one was."""

    count: int = 0
    last_at: datetime | None = None


class Challenge(Document):
    """A code that was sent. Open: it can still be used, and is the only one of its person for its purpose and device.

    `session`: the one that may use it, where it is a session's. `device`: the known device that asked for it, which
    alone learns its id. `wrong_in_a_row`: how many codes were wrong since one was right, those before this one
    included; `wrong_at`: when the last one was.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"code_hash", "message"}

    purpose: Purpose = "login"
    practitioner_id: str
    certificate_id: str
    session: str | None = None
    device: str | None = None
    wrong_in_a_row: int = 0
    wrong_at: datetime | None = None
    phone_index: str
    phone_hint: str
    code_hash: str
    message: str | None  # phone and code, sealed for notify; gone when the code is closed
    open: bool
    used: bool = False
    tries_left: int
    expires_at: datetime
    sent_at: datetime
    send_before: datetime
    delivery: Delivery = "requested"
    delivery_at: datetime | None = None

    @classmethod
    def requested(
        cls, challenge_id: str, purpose: Purpose, certificate: Certificate, *, phone_index: str, phone_hint: str,
        session: str | None, device: str | None, code_hash: str, message: str, tries: int, wrong: WrongCodes,
        expires_at: datetime, send_before: datetime, at: datetime, by: str,
    ) -> Self:  # fmt: skip
        """A code that is to be sent, after so many `wrong` ones before it."""
        return cls.first(
            at=at, by=by, action="requested", id=challenge_id, purpose=purpose,
            practitioner_id=certificate.practitioner_id, certificate_id=certificate.id, session=session, device=device,
            wrong_in_a_row=wrong.count, wrong_at=wrong.last_at, phone_index=phone_index, phone_hint=phone_hint,
            code_hash=code_hash, message=message, open=True, tries_left=tries, expires_at=expires_at,
            **_sent(at, send_before),
        )  # fmt: skip

    def resent(self, send_before: datetime, *, at: datetime, by: str) -> Self:
        """The same code is to be sent once more."""
        return self.next_version(_sent(at, send_before), at=at, by=by, action="resent")

    def delivered(self, delivery: Delivery, reported_at: datetime, *, at: datetime) -> Self:
        """Notify reported, at `reported_at`, how far the message is."""
        reported = {"delivery": delivery, "delivery_at": reported_at}
        return self.next_version(reported, at=at, by="notify", action="delivery")

    def missed(self, *, at: datetime) -> Self:
        """A wrong code was tried; the last try closes it."""
        left = self.tries_left - 1
        counted = {"tries_left": left, "wrong_in_a_row": self.wrong_in_a_row + 1, "wrong_at": at}
        if left == 0:
            return self._closed(counted, at, "spent")
        return self.next_version(counted, at=at, by=self.owner, action="missed")

    def proved(self, *, at: datetime) -> Self:
        """The right code was tried."""
        return self._closed({"used": True}, at, "used")

    def expired(self, *, at: datetime) -> Self:
        """Another one takes its place: it ran out, or does not fit what is asked for now."""
        return self._closed({}, at, "expired")

    def _closed(self, counted: dict[str, object], at: datetime, action: str) -> Self:
        return self.next_version({**counted, "open": False, "message": None}, at=at, by=self.owner, action=action)

    @property
    def owner(self) -> str:
        """Whose it is, as `Caller.label` names them."""
        return f"practitioner:{self.practitioner_id}"

    def state(self, now: datetime) -> ChallengeState:
        """What the person sees of it."""
        if self.used:
            return "used"
        return "expired" if not self.open or now >= self.expires_at else self.delivery


def _sent(at: datetime, send_before: datetime) -> dict[str, object]:
    return {"sent_at": at, "send_before": send_before, "delivery": "requested", "delivery_at": at}


class Session(Document):
    """One log-in. `bound_to`: the certificate's phone, or the roles and credentials of staff, at that time.

    `proved_at`: when a code was proved last; in sessions of before, when they began.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {
        "secret_hash", "proved_at", "used_at", "expires_at",
    }  # fmt: skip

    kind: SessionKind
    subject: str
    bound_to: str
    secret_hash: str
    address: str
    device: str
    proved_at: datetime | None = None
    known_device: str | None = None
    used_at: datetime
    expires_at: datetime
    ended: bool = False
    end_reason: EndReason | None = None

    @classmethod
    def opened(
        cls, session_id: str, kind: SessionKind, subject: str, *, bound_to: str, secret_hash: str, address: str,
        device: str, known_device: str | None, expires_at: datetime, at: datetime,
    ) -> Self:  # fmt: skip
        """Somebody logged in."""
        return cls.first(
            at=at, by=f"{kind}:{subject}", action="opened", id=session_id, kind=kind, subject=subject,
            bound_to=bound_to, secret_hash=secret_hash, address=address, device=device, known_device=known_device,
            proved_at=at, used_at=at, expires_at=expires_at,
        )  # fmt: skip

    def refreshed(self, secret_hash: str, expires_at: datetime, proved_at: datetime | None, *, at: datetime) -> Self:
        """Rotate the refresh token. The history keeps only how the session began: refreshes are not worth an entry."""
        times = {"used_at": at, "expires_at": expires_at, "proved_at": proved_at or self.proved_at}
        rotated = self.next_version({"secret_hash": secret_hash, **times}, at=at, by=self.owner, action="refreshed")
        return rotated.model_copy(update={"history": self.history[:1]})

    def over(self, reason: EndReason, *, at: datetime) -> Self:
        """Ended for good."""
        return self.next_version({"ended": True, "end_reason": reason}, at=at, by=self.owner, action="ended")

    @property
    def owner(self) -> str:
        """Whose it is, as `Caller.label` names them."""
        return f"{self.kind}:{self.subject}"


class Device(Document):
    """A person is known on this device: they logged in there. `bound_to`: the certificate and phone they had then.

    `forgotten`: they said that it is not theirs any more.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"token_hash", "expires_at"}

    practitioner_id: str
    token_hash: str
    bound_to: str
    expires_at: datetime
    forgotten: bool = False

    @classmethod
    def remembered(
        cls, device_id: str, practitioner_id: str, *, token_hash: str, bound_to: str, expires_at: datetime, at: datetime
    ) -> Self:
        """The first log-in of a person there."""
        return cls.first(
            at=at, by=f"practitioner:{practitioner_id}", action="remembered", id=device_id,
            practitioner_id=practitioner_id, token_hash=token_hash, bound_to=bound_to, expires_at=expires_at,
        )  # fmt: skip

    def used(self, bound_to: str, expires_at: datetime, *, at: datetime) -> Self:
        """Another log-in there; of these the history keeps the first only."""
        again = self.next_version({"bound_to": bound_to, "expires_at": expires_at}, at=at, by=self.owner, action="used")
        return again.model_copy(update={"history": self.history[:1]})

    def disowned(self, *, at: datetime) -> Self:
        """The person says that it is not theirs any more."""
        return self.next_version({"forgotten": True}, at=at, by=self.owner, action="forgotten")

    @property
    def owner(self) -> str:
        """Whose it is, as `Caller.label` names them."""
        return f"practitioner:{self.practitioner_id}"
