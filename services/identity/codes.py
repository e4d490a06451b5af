"""One-time codes sent to a phone: one live code for a person, purpose and known device; five tries, single use.

Each try is judged in one guarded write. A code is worth something only for what it was sent for.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.identity import CODE_CONTEXT, CodeMessage
from contracts.notify import MessageChanged
from kit import security
from kit.clock import Clock
from kit.errors import AppError, NotFound
from kit.ids import secret_id
from kit.mongo import Conflict, Duplicate
from kit.seal import keyed_hash, same
from services.identity.domain import CODES, ChallengeState, Delivery, Purpose, challenge_state, hint
from services.identity.keys import Keys
from services.identity.settings import CodeSettings
from services.identity.store import Certificate, Challenge, Store
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
class Wanted:
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
        self._store, self._keys, self._throttle, self._clock = store, keys, throttle, clock
        self._settings = settings
        security.begin(*CODES, event="code_guessing", outcome="noticed")

    async def send(self, wanted: Wanted) -> Challenge:
        """Send a code; a live one is sent again."""
        live = await self._store.open_challenge(wanted.certificate.practitioner_id, wanted.purpose, wanted.device)
        try:
            if live is None:
                return await self._mint(wanted)
            if live.expires_at <= self._clock.now() or not wanted.fits(live):
                await self._store.challenges.replace(self._closed(live, "expired"))
                return await self._mint(wanted)
            return await self._send_again(live, wanted.by)
        except (Duplicate, Conflict):  # the same person asks twice at once
            return await self.send(wanted)

    async def _mint(self, wanted: Wanted) -> Challenge:
        wrong_before = await self._wrong_before(wanted)
        now, identity, code = self._clock.now(), secret_id(), f"{secrets.randbelow(10**6):06d}"
        message = CodeMessage(phone=wanted.phone, code=code).model_dump_json()
        challenge = Challenge.first(
            at=now,
            by=wanted.by,
            action="requested",
            id=identity,
            purpose=wanted.purpose,
            practitioner_id=wanted.certificate.practitioner_id,
            certificate_id=wanted.certificate.id,
            session=wanted.session,
            device=wanted.device,
            phone_index=wanted.phone_index,
            phone_hint=hint(wanted.phone),
            code_hash=self._hash(identity, code),
            message=self._keys.bus.seal(message, f"{CODE_CONTEXT}:{identity}"),
            open=True,
            tries_left=self._settings.tries,
            expires_at=now + timedelta(seconds=self._settings.lifetime_of(wanted.purpose)),
            **wrong_before,
            **self._sent(now),
        )
        await self._store.challenges.insert(challenge)
        return challenge

    async def _wrong_before(self, wanted: Wanted) -> dict[str, object]:
        """The number of consecutive wrong codes so far; a visit to a window resets it. Raises 429.

        A known device has a row of its own.
        """
        certificate = wanted.certificate
        last = await self._store.newest_challenge(certificate.practitioner_id, wanted.purpose, wanted.device)
        if last is None or last.used or last.wrong_at is None or last.created_at < certificate.updated_at:
            return {}
        self._throttle.admit_row(last.wrong_in_a_row, last.wrong_at, self._clock.now())
        return {"wrong_in_a_row": last.wrong_in_a_row, "wrong_at": last.wrong_at}

    def _sent(self, now: datetime) -> dict[str, object]:
        before = now + timedelta(seconds=self._settings.deliver_within_seconds)
        return {"sent_at": now, "send_before": before, "delivery": "requested", "delivery_at": now}

    async def _send_again(self, challenge: Challenge, by: str) -> Challenge:
        now = self._clock.now()
        again = challenge.following(at=now, by=by, action="resent", **self._sent(now))
        await self._store.challenges.replace(again)
        return again

    async def resend(self, challenge_id: str) -> Challenge:
        """The same code once more. Raises `code_expired`."""
        challenge = await self.live(challenge_id)
        try:
            return await self._send_again(challenge, _person(challenge))
        except Conflict:  # judged or delivered this very moment; what was admitted is not counted twice
            return await self.resend(challenge_id)

    async def live(self, challenge_id: str) -> Challenge:
        """A code that may still be used. Raises `code_expired`."""
        challenge = await self._store.challenges.get(challenge_id)
        if challenge is None:
            raise CodeExpired
        if self.state(challenge) in ("used", "expired"):
            raise CodeExpired(_person(challenge))
        return challenge

    async def look(self, challenge_id: str) -> Challenge:
        """What became of the code. Raises `NotFound`."""
        challenge = await self._store.challenges.get(challenge_id)
        if challenge is None:
            raise NotFound
        return challenge

    def state(self, challenge: Challenge) -> ChallengeState:
        """What the person is told."""
        return challenge_state(
            used=challenge.used, closed=not challenge.open, open_until=challenge.expires_at,
            delivery=challenge.delivery, now=self._clock.now(),
        )  # fmt: skip

    def resend_at(self, challenge: Challenge) -> datetime:
        """When the code may be sent again."""
        return challenge.sent_at + timedelta(seconds=self._settings.resend_seconds)

    async def bound(self, challenge: Challenge) -> Certificate:
        """The active certificate, if it is still bound to the phone that the code went to. Raises `code_expired`."""
        certificate = await self._store.certificates.get(challenge.certificate_id)
        if certificate is None or certificate.state != "active" or certificate.phone_index != challenge.phone_index:
            raise CodeExpired(_person(challenge))
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
        """Compare and count in one guarded write: of many tries at once each is judged by what the last one left."""
        challenge = await self.live(challenge_id)
        if not sent_for(challenge):
            raise CodeExpired(_person(challenge))
        right = same(self._hash(challenge.id, code), challenge.code_hash)
        judged = self._closed(challenge, "used", used=True) if right else self._missed(challenge)
        try:
            await self._store.challenges.replace(judged)
        except Conflict:
            return await self._judge(challenge_id, code, sent_for)
        if not right:
            if self._throttle.alarming_row(judged.wrong_in_a_row):
                wrong = judged.wrong_in_a_row
                security.record("code_guessing", "noticed", judged.purpose, _person(challenge), wrong=wrong)
            raise CodeWrong(judged.tries_left, _person(challenge))
        return judged

    def _missed(self, challenge: Challenge) -> Challenge:
        left, now = challenge.tries_left - 1, self._clock.now()
        counted = {"tries_left": left, "wrong_in_a_row": challenge.wrong_in_a_row + 1, "wrong_at": now}
        if left == 0:
            return self._closed(challenge, "spent", **counted)
        return challenge.following(at=now, by=_person(challenge), action="missed", **counted)

    def _closed(self, challenge: Challenge, action: str, **fields: object) -> Challenge:
        by = _person(challenge)
        return challenge.following(at=self._clock.now(), by=by, action=action, open=False, message=None, **fields)

    def _hash(self, challenge_id: str, code: str) -> str:
        return keyed_hash(self._settings.hmac_key, challenge_id, code)

    async def note_delivery(self, event: MessageChanged) -> None:
        """Keep what notify says of the code, unless something newer is known."""
        challenge = await self._store.challenges.get(event.about)
        if challenge is None or not challenge.open or (challenge.delivery_at and challenge.delivery_at > event.at):
            return
        delivery = DELIVERIES[event.state]
        noted = challenge.following(
            at=self._clock.now(), by="notify", action="delivery", delivery=delivery, delivery_at=event.at
        )
        try:
            await self._store.challenges.replace(noted)
        except Conflict:
            await self.note_delivery(event)


def _person(challenge: Challenge) -> str:
    return f"practitioner:{challenge.practitioner_id}"
