"""One-time codes sent by SMS: one open code per person, purpose and known device; five attempts, single use.

Each attempt is checked and counted in one guarded write. A code is accepted only for the purpose it was sent for.
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
from services.identity.domain import phone_hint
from services.identity.keys import Keys
from services.identity.login.domain import CODES, Challenge, ChallengeState, Delivery, Purpose, WrongCodes
from services.identity.settings import CodeSettings
from services.identity.store import Store
from services.identity.throttle import Throttle

DELIVERIES: dict[str, Delivery] = {
    "queued": "requested", "sent": "sent", "delivered": "delivered", "failed": "failed", "expired": "failed",
}  # fmt: skip


class CodeExpired(AppError):
    """The code can't be used: expired, used, out of attempts, unknown, or sent for another purpose."""

    cause = "code_expired"

    def __init__(self, subject: str = "") -> None:
        self.subject = subject
        super().__init__(410, self.cause, "动态密码已失效，请重新获取")


class CodeWrong(AppError):
    """The code is wrong; `tries_left` attempts remain."""

    def __init__(self, tries_left: int, subject: str) -> None:
        self.subject = subject
        detail = f"动态密码错误，还可以再试{tries_left}次" if tries_left else "动态密码错误次数过多，请重新获取"
        super().__init__(401, "code_wrong", detail, tries_left=tries_left)


@dataclass(frozen=True)
class NewCode:
    """A code to be sent: its purpose, the person's certificate, the phone it is sent to.

    `session`: the only session that can use it; `device`: the known device that requested it.
    """

    purpose: Purpose
    certificate: Certificate
    phone: str
    phone_index: str
    by: str
    session: str | None = None
    device: str | None = None

    def matches(self, challenge: Challenge) -> bool:
        """Whether an open code was sent to the same phone for the same session."""
        return challenge.phone_index == self.phone_index and challenge.session == self.session


class Codes:
    """Sends and checks codes."""

    def __init__(self, store: Store, keys: Keys, throttle: Throttle, settings: CodeSettings, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._throttle = throttle
        self._clock = clock
        self._settings = settings
        security_events.initialise(*CODES, event="code_guessing", outcome="noticed")

    async def send(self, wanted: NewCode) -> Challenge:
        """Send a code; a valid one is sent again, also when two are requested at the same time."""
        return await retry_on_conflict(partial(self._send, wanted), races=(Conflict, Duplicate))

    async def _send(self, wanted: NewCode) -> Challenge:
        last = await self._store.last_challenge(wanted.certificate.practitioner_id, wanted.purpose, wanted.device)
        if last is not None and last.open:
            if last.expires_at > self._clock.now() and wanted.matches(last):
                return await self._send_again(last, wanted.by)
            await self._store.challenges.replace(last.expired(at=self._clock.now()))
        return await self._create(wanted, self._wrong_before(wanted.certificate, last))

    async def _create(self, wanted: NewCode, wrong: WrongCodes) -> Challenge:
        now = self._clock.now()
        challenge_id = secret_id()
        code = f"{secrets.randbelow(10**6):06d}"
        message = CodeMessage(phone=wanted.phone, code=code).model_dump_json()
        challenge = Challenge.requested(
            challenge_id,
            wanted.purpose,
            wanted.certificate,
            phone_index=wanted.phone_index,
            phone_hint=phone_hint(wanted.phone),
            session=wanted.session,
            device=wanted.device,
            code_hash=self._hash(challenge_id, code),
            message=self._keys.bus.encrypt(message, f"{CODE_CONTEXT}:{challenge_id}"),
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
        """The consecutive wrong codes so far, counted separately for a known device. Raises 429.

        A change of the certificate at a window resets the count.
        """
        if last is None or last.used or last.wrong_at is None or last.created_at < certificate.updated_at:
            return WrongCodes()
        self._throttle.admit_after_wrong(last.wrong_in_a_row, last.wrong_at, self._clock.now())
        return WrongCodes(last.wrong_in_a_row, last.wrong_at)

    def _send_before(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._settings.deliver_within_seconds)

    async def _send_again(self, challenge: Challenge, by: str) -> Challenge:
        now = self._clock.now()
        again = challenge.resent(self._send_before(now), at=now, by=by)
        await self._store.challenges.replace(again)
        return again

    async def resend(self, challenge_id: str) -> Challenge:
        """Send the same code again. Raises `code_expired`."""

        async def send_again() -> Challenge:
            challenge = await self.valid(challenge_id)
            return await self._send_again(challenge, challenge.owner)

        return await retry_on_conflict(send_again)  # it may be checked or delivered at the same time

    async def valid(self, challenge_id: str) -> Challenge:
        """A code that can still be used. Raises `code_expired`."""
        challenge = await self._store.challenges.get(challenge_id)
        if challenge is None:
            raise CodeExpired
        if self.state(challenge) in ("used", "expired"):
            raise CodeExpired(challenge.owner)
        return challenge

    async def get(self, challenge_id: str) -> Challenge:
        """The code in any state. Raises `NotFound`."""
        challenge = await self._store.challenges.get(challenge_id)
        if challenge is None:
            raise NotFound
        return challenge

    def state(self, challenge: Challenge) -> ChallengeState:
        """The state that the person sees."""
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
        """Check a code and use it up. A code for which `sent_for` is False counts as expired.

        Raises `code_wrong`, `code_expired`, 429.
        """
        await self._throttle.admit_check(address)
        try:
            return await self._check(challenge_id, code, sent_for)
        except CodeWrong:
            await self._throttle.wrong_code(address)
            raise

    async def _check(self, challenge_id: str, code: str, sent_for: Callable[[Challenge], bool]) -> Challenge:
        checked = await retry_on_conflict(partial(self._count_attempt, challenge_id, code, sent_for))
        if not checked.used:
            if self._throttle.is_guessing(checked.wrong_in_a_row):
                wrong = checked.wrong_in_a_row
                security_events.record("code_guessing", "noticed", checked.purpose, checked.owner, wrong=wrong)
            raise CodeWrong(checked.tries_left, checked.owner)
        return checked

    async def _count_attempt(self, challenge_id: str, code: str, sent_for: Callable[[Challenge], bool]) -> Challenge:
        """Compare and count in one guarded write, so that concurrent attempts can't exceed the limit."""
        challenge = await self.valid(challenge_id)
        if not sent_for(challenge):
            raise CodeExpired(challenge.owner)
        right = constant_time_equal(self._hash(challenge.id, code), challenge.code_hash)
        now = self._clock.now()
        checked = challenge.proved(at=now) if right else challenge.missed(at=now)
        await self._store.challenges.replace(checked)
        return checked

    def _hash(self, challenge_id: str, code: str) -> str:
        return keyed_hash(self._settings.hmac_key, challenge_id, code)

    async def note_delivery(self, event: MessageChanged) -> None:
        """Store the delivery state that notify reports, unless a newer one is stored."""
        await retry_on_conflict(partial(self._note_delivery, event))

    async def _note_delivery(self, event: MessageChanged) -> None:
        challenge = await self._store.challenges.get(event.about)
        if challenge is None or not challenge.open or (challenge.delivery_at and challenge.delivery_at > event.at):
            return
        noted = challenge.delivered(DELIVERIES[event.state], event.at, at=self._clock.now())
        await self._store.challenges.replace(noted)
