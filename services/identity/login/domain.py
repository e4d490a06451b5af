"""The entities of log-ins with their transitions: codes, sessions, known devices."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Self

from contracts.sessions import EndReason
from kit.core.documents import Document
from services.identity.certificates.domain import Certificate

Purpose = Literal["login", "bind_phone", "confirm"]
"""What a code proves."""
CODES: dict[Purpose, str] = {"login": "login_code", "bind_phone": "bind_code", "confirm": "confirm_code"}
"""The name of each code in events and in notify."""
Delivery = Literal["requested", "sent", "delivered", "failed"]
ChallengeState = Literal["requested", "sent", "delivered", "failed", "expired", "used"]

SessionKind = Literal["practitioner", "staff"]


@dataclass(frozen=True)
class WrongCodes:
    """The number of consecutive wrong codes of a person, and the time of the last one."""

    count: int = 0
    last_at: datetime | None = None


class Challenge(Document):
    """A code that was sent. `open`: it can be used until `expires_at`; at most one per person, purpose and device.

    `session`: the only session that can use it, if set. `device`: the known device that requested it and alone got its
    id. `wrong_in_a_row`: the consecutive wrong codes, including those of earlier challenges; `wrong_at`: the last one.
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
    message: str | None  # phone and code, encrypted for notify; None once the code is closed
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
        """A new code that is to be sent; `wrong` counts the wrong codes before it."""
        return cls.first(
            at=at, by=by, action="requested", id=challenge_id, purpose=purpose,
            practitioner_id=certificate.practitioner_id, certificate_id=certificate.id, session=session, device=device,
            wrong_in_a_row=wrong.count, wrong_at=wrong.last_at, phone_index=phone_index, phone_hint=phone_hint,
            code_hash=code_hash, message=message, open=True, tries_left=tries, expires_at=expires_at,
            **_sent(at, send_before),
        )  # fmt: skip

    def resent(self, send_before: datetime, *, at: datetime, by: str) -> Self:
        """The same code is to be sent again."""
        return self.next_version(_sent(at, send_before), at=at, by=by, action="resent")

    def delivered(self, delivery: Delivery, reported_at: datetime, *, at: datetime) -> Self:
        """Notify reported the delivery state of the message at `reported_at`."""
        reported = {"delivery": delivery, "delivery_at": reported_at}
        return self.next_version(reported, at=at, by="notify", action="delivery")

    def missed(self, *, at: datetime) -> Self:
        """A wrong code was entered; the last attempt closes the challenge."""
        left = self.tries_left - 1
        counted = {"tries_left": left, "wrong_in_a_row": self.wrong_in_a_row + 1, "wrong_at": at}
        if left == 0:
            return self._closed(counted, at, "spent")
        return self.next_version(counted, at=at, by=self.owner, action="missed")

    def proved(self, *, at: datetime) -> Self:
        """The right code was entered."""
        return self._closed({"used": True}, at, "used")

    def expired(self, *, at: datetime) -> Self:
        """Closed in favour of another code, because it expired or was sent for another phone or session."""
        return self._closed({}, at, "expired")

    def _closed(self, counted: dict[str, object], at: datetime, action: str) -> Self:
        return self.next_version({**counted, "open": False, "message": None}, at=at, by=self.owner, action=action)

    @property
    def owner(self) -> str:
        """The label of the owner, as in `Caller.label`."""
        return f"practitioner:{self.practitioner_id}"

    def state(self, now: datetime) -> ChallengeState:
        """The state that the person sees."""
        if self.used:
            return "used"
        return "expired" if not self.open or now >= self.expires_at else self.delivery


def _sent(at: datetime, send_before: datetime) -> dict[str, object]:
    return {"sent_at": at, "send_before": send_before, "delivery": "requested", "delivery_at": at}


class Session(Document):
    """One log-in. `bound_to`: the certificate's phone, or the roles and credentials of staff, when it was opened.

    `proved_at`: the last authentication in it; None, in documents of old releases, for the time of the log-in.
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
        """A person or member of staff logged in."""
        return cls.first(
            at=at, by=f"{kind}:{subject}", action="opened", id=session_id, kind=kind, subject=subject,
            bound_to=bound_to, secret_hash=secret_hash, address=address, device=device, known_device=known_device,
            proved_at=at, used_at=at, expires_at=expires_at,
        )  # fmt: skip

    def refreshed(self, secret_hash: str, expires_at: datetime, proved_at: datetime | None, *, at: datetime) -> Self:
        """The refresh token was rotated. The history keeps only the log-in: it would grow with each refresh."""
        times = {"used_at": at, "expires_at": expires_at, "proved_at": proved_at or self.proved_at}
        rotated = self.next_version({"secret_hash": secret_hash, **times}, at=at, by=self.owner, action="refreshed")
        return rotated.model_copy(update={"history": self.history[:1]})

    def closed(self, reason: EndReason, *, at: datetime) -> Self:
        """Ended, irrevocably."""
        return self.next_version({"ended": True, "end_reason": reason}, at=at, by=self.owner, action="ended")

    @property
    def owner(self) -> str:
        """The label of the owner, as in `Caller.label`."""
        return f"{self.kind}:{self.subject}"


class Device(Document):
    """A known device of a person. `bound_to`: certificate number and phone at the last log-in there.

    `forgotten`: the person ended its session from another device, so that it is not known any more.
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
        """The first log-in of the person on the device."""
        return cls.first(
            at=at, by=f"practitioner:{practitioner_id}", action="remembered", id=device_id,
            practitioner_id=practitioner_id, token_hash=token_hash, bound_to=bound_to, expires_at=expires_at,
        )  # fmt: skip

    def used(self, bound_to: str, expires_at: datetime, *, at: datetime) -> Self:
        """Another log-in on the device; the history keeps only the first one."""
        again = self.next_version({"bound_to": bound_to, "expires_at": expires_at}, at=at, by=self.owner, action="used")
        return again.model_copy(update={"history": self.history[:1]})

    def marked_forgotten(self, *, at: datetime) -> Self:
        """Not the person's device any more."""
        return self.next_version({"forgotten": True}, at=at, by=self.owner, action="forgotten")

    @property
    def owner(self) -> str:
        """The label of the owner, as in `Caller.label`."""
        return f"practitioner:{self.practitioner_id}"
