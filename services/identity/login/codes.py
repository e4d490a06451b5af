"""One-time codes sent to a phone: one live code for a person, purpose and known device; five tries, single use.

Each try is judged in one guarded write. A code is worth something only for what it was sent for.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from contracts.identity import CODE_CONTEXT, CodeMessage
from contracts.notify import MessageChanged
from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound
from kit.core.ids import secret_id
from kit.mongo import Conflict, Duplicate, retry_on_conflict
from kit.security import security_events
from kit.security.encryption import constant_time_equal, keyed_hash
from services.identity.certificates.domain import Certificate
from services.identity.domain import hint
from services.identity.keys import Keys
from services.identity.login.domain import CODES, Challenge, ChallengeState, Delivery, Purpose, WrongCodes
from services.identity.settings import CodeSettings
from services.identity.store import Store
from services.identity.throttle import Throttle

DELIVERIES: dict[str, Delivery] = {
    "queued": "requested", "sent": "sent", "delivered": "delivered", "failed": "failed", "expired": "failed",
}  # fmt: skip


class CodeExpired(AppError):
    """The code can't be used: too old, used, tries spent, unknown, or sent for something else."""

    cause = "code_expired"

    def __init__(self, subject: str = "") -> None:
        self.subject = subject
        super().__init__(410, self.cause, "动态密码已失效，请重新获取")


class CodeWrong(AppError):
    """Not the code; so many tries are left."""

    def __init__(self, tries_left: int, subject: str) -> None:
        self.subject = subject
        detail = f"动态密码错误，还可以再试{tries_left}次" if tries_left else "动态密码错误次数过多，请重新获取"
        super().__init__(401, "code_wrong", detail, tries_left=tries_left)


@dataclass(frozen=True)
class NewCode:
    """A code to be sent: what it proves, whose it is, where it goes.

    `session` when only that session may use it; `device` when it is for a known device.
    """

    purpose: Purpose
    certificate: Certificate
    phone: str
    phone_index: str
    by: str
    session: str | None = None
    device: str | None = None

    def fits(self, live: Challenge) -> bool:
        """Whether a code that is live already was sent for the same."""
        return live.phone_index == self.phone_index and live.session == self.session


class Codes:
    """Sends codes, and judges them."""

    def __init__(self, store: Store, keys: Keys, throttle: Throttle, settings: CodeSettings, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._throttle = throttle
        self._clock = clock
        self._settings = settings
        security_events.initialise(*CODES, event="code_guessing", outcome="noticed")

    async def send(self, wanted: NewCode) -> Challenge:
        """Send a code; a live one is sent again, also of two that are wanted at once."""
        return await retry_on_conflict(partial(self._send, wanted), races=(Conflict, Duplicate))

    async def _send(self, wanted: NewCode) -> Challenge:
        last = await self._store.last_challenge(wanted.certificate.practitioner_id, wanted.purpose, wanted.device)
        if last is not None and last.open:
            if last.expires_at > self._clock.now() and wanted.fits(last):
                return await self._send_again(last, wanted.by)
            await self._store.challenges.replace(last.expired(at=self._clock.now()))
        return await self._mint(wanted, self._wrong_before(wanted.certificate, last))

    async def _mint(self, wanted: NewCode, wrong: WrongCodes) -> Challenge:
        now = self._clock.now()
        identity = secret_id()
        code = f"{secrets.randbelow(10**6):06d}"
        message = CodeMessage(phone=wanted.phone, code=code).model_dump_json()
        challenge = Challenge.requested(
            identity,
            wanted.purpose,
            wanted.certificate,
            phone_index=wanted.phone_index,
            phone_hint=hint(wanted.phone),
            session=wanted.session,
            device=wanted.device,
            code_hash=self._hash(identity, code),
            message=self._keys.bus.seal(message, f"{CODE_CONTEXT}:{identity}"),
            tries=self._settings.tries,
            wrong=wrong,
            expires_at=now + timedelta(seconds=self._settings.lifetime_of(wanted.purpose)),
            send_before=self._send_before(now),
            at=now,
            by=wanted.by,
        )
        await self._store.challenges.insert(challenge)
        return challenge

    def _wrong_before(self, certificate: Certificate, last: Challenge | None) -> WrongCodes:
        """The number of consecutive wrong codes so far; a visit to a window resets it. Raises 429.

        A known device has a row of its own.
        """
        if last is None or last.used or last.wrong_at is None or last.created_at < certificate.updated_at:
            return WrongCodes()
        self._throttle.admit_row(last.wrong_in_a_row, last.wrong_at, self._clock.now())
        return WrongCodes(last.wrong_in_a_row, last.wrong_at)

    def _send_before(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._settings.deliver_within_seconds)

    async def _send_again(self, challenge: Challenge, by: str) -> Challenge:
        now = self._clock.now()
        again = challenge.resent(self._send_before(now), at=now, by=by)
        await self._store.challenges.replace(again)
        return again

    async def resend(self, challenge_id: str) -> Challenge:
        """The same code once more. Raises `code_expired`."""

        async def send_again() -> Challenge:
            challenge = await self.live(challenge_id)
            return await self._send_again(challenge, challenge.owner)

        return await retry_on_conflict(send_again)  # it may be judged or delivered this very moment

    async def live(self, challenge_id: str) -> Challenge:
        """A code that may still be used. Raises `code_expired`."""
        challenge = await self._store.challenges.get(challenge_id)
        if challenge is None:
            raise CodeExpired
        if self.state(challenge) in ("used", "expired"):
            raise CodeExpired(challenge.owner)
        return challenge

    async def look(self, challenge_id: str) -> Challenge:
        """The code in whatever state it is. Raises `NotFound`."""
        challenge = await self._store.challenges.get(challenge_id)
        if challenge is None:
            raise NotFound
        return challenge

    def state(self, challenge: Challenge) -> ChallengeState:
        """What the person is told."""
        return challenge.state(self._clock.now())

    def resend_at(self, challenge: Challenge) -> datetime:
        """When the code may be sent again."""
        return challenge.sent_at + timedelta(seconds=self._settings.resend_seconds)

    async def bound(self, challenge: Challenge) -> Certificate:
        """The active certificate, if it is still bound to the phone that the code went to. Raises `code_expired`."""
        certificate = await self._store.certificates.get(challenge.certificate_id)
        if certificate is None or certificate.state != "active" or certificate.phone_index != challenge.phone_index:
            raise CodeExpired(challenge.owner)
        return certificate

    async def prove(
        self, challenge_id: str, code: str, address: str, sent_for: Callable[[Challenge], bool]
    ) -> Challenge:
        """Judge a code, once it is sure that it was sent for this. Raises `code_wrong`, `code_expired`, 429."""
        await self._throttle.admit_check(address)
        try:
            return await self._judge(challenge_id, code, sent_for)
        except CodeWrong:
            await self._throttle.wrong_code(address)
            raise

    async def _judge(self, challenge_id: str, code: str, sent_for: Callable[[Challenge], bool]) -> Challenge:
        judged = await retry_on_conflict(partial(self._judged, challenge_id, code, sent_for))
        if not judged.used:
            if self._throttle.alarming_row(judged.wrong_in_a_row):
                wrong = judged.wrong_in_a_row
                security_events.record("code_guessing", "noticed", judged.purpose, judged.owner, wrong=wrong)
            raise CodeWrong(judged.tries_left, judged.owner)
        return judged

    async def _judged(self, challenge_id: str, code: str, sent_for: Callable[[Challenge], bool]) -> Challenge:
        """Compare and count in one guarded write: of many tries at once each is judged by what the last one left."""
        challenge = await self.live(challenge_id)
        if not sent_for(challenge):
            raise CodeExpired(challenge.owner)
        right = constant_time_equal(self._hash(challenge.id, code), challenge.code_hash)
        now = self._clock.now()
        judged = challenge.proved(at=now) if right else challenge.missed(at=now)
        await self._store.challenges.replace(judged)
        return judged

    def _hash(self, challenge_id: str, code: str) -> str:
        return keyed_hash(self._settings.hmac_key, challenge_id, code)

    async def note_delivery(self, event: MessageChanged) -> None:
        """Keep what notify says of the code, unless something newer is known."""
        await retry_on_conflict(partial(self._note_delivery, event))

    async def _note_delivery(self, event: MessageChanged) -> None:
        challenge = await self._store.challenges.get(event.about)
        if challenge is None or not challenge.open or (challenge.delivery_at and challenge.delivery_at > event.at):
            return
        noted = challenge.delivered(DELIVERIES[event.state], event.at, at=self._clock.now())
        await self._store.challenges.replace(noted)
