"""Log in by SMS code: one live code a person, five tries, single use, each judged in one guarded write."""

import secrets
from datetime import datetime, timedelta

from contracts.identity import CODE_CONTEXT, CodeMessage
from contracts.notify import MessageChanged
from kit import metrics
from kit.clock import Clock
from kit.errors import AppError, NotFound
from kit.ids import secret_id
from kit.mongo import Conflict, Duplicate
from kit.seal import keyed_hash, same
from services.identity.captchas import Captchas
from services.identity.domain import ChallengeState, Delivery, challenge_state
from services.identity.service import Keys
from services.identity.sessions import Sessions, Tokens
from services.identity.settings import CodeSettings
from services.identity.store import Certificate, Challenge, Store
from services.identity.throttle import Throttle

NOT_ENROLLED = "该证件号及手机号未申领个人数字证书，请先申领个人数字证书后再行登录"
OUTCOMES = ("asked", "right", "wrong", "expired", "limited")
DELIVERIES: dict[str, Delivery] = {
    "queued": "requested", "sent": "sent", "delivered": "delivered", "failed": "failed", "expired": "failed",
}  # fmt: skip


class CodeExpired(AppError):
    """The code can't be used: too old, used, tries spent, unknown."""

    def __init__(self) -> None:
        super().__init__(410, "code_expired", "动态密码已失效，请重新获取")


class CodeWrong(AppError):
    """Not the code; so many tries are left."""

    def __init__(self, tries_left: int) -> None:
        detail = f"动态密码错误，还可以再试{tries_left}次" if tries_left else "动态密码错误次数过多，请重新获取"
        super().__init__(401, "code_wrong", detail, tries_left=tries_left)


class LoginService:
    """From captcha to session."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        captchas: Captchas,
        sessions: Sessions,
        throttle: Throttle,
        codes: CodeSettings,
        clock: Clock,
    ) -> None:
        self._store, self._keys, self._captchas, self._sessions = store, keys, captchas, sessions
        self._throttle, self._codes, self._clock = throttle, codes, clock
        metrics.begin(metrics.logins, OUTCOMES)

    async def request_code(self, number: str, phone: str, captcha_id: str, answer: str, address: str) -> Challenge:
        """Send a code to the person's phone; a live one is sent again. Raises `captcha_wrong`, `not_enrolled`, 429."""
        await self._throttle.admit(address)
        await self._captchas.spend(captcha_id, answer)
        certificate = await self._enrolled(number, phone, address)
        await self._admit_code(certificate)
        metrics.logins.labels("asked").inc()
        return await self._live_code(certificate, phone)

    async def _enrolled(self, number: str, phone: str, address: str) -> Certificate:
        await self._throttle.admit_number(self._keys.number_index(number), address)
        indexes, phone_index = self._keys.number_indexes(number), self._keys.phone_index(phone)
        for person in await self._store.people_with_number(indexes):
            found = await self._store.certificate_of(person.id)
            if found and found.state == "active" and same(found.phone_index, phone_index):
                return found
        await self._throttle.not_enrolled(self._keys.number_index(number), address)
        raise AppError(403, "not_enrolled", NOT_ENROLLED)

    async def _admit_code(self, certificate: Certificate) -> None:
        try:
            await self._throttle.admit_code(certificate.practitioner_id, certificate.phone_index)
        except AppError:
            metrics.logins.labels("limited").inc()
            raise

    async def _live_code(self, certificate: Certificate, phone: str) -> Challenge:
        live = await self._store.open_challenge(certificate.practitioner_id)
        try:
            if live is None:
                return await self._mint(certificate, phone)
            if live.expires_at <= self._clock.now() or live.phone_index != certificate.phone_index:
                await self._store.challenges.replace(self._closed(live, "expired"))
                return await self._mint(certificate, phone)
            return await self._send_again(live)
        except (Duplicate, Conflict):  # the same person asks twice at once
            return await self._live_code(certificate, phone)

    async def _mint(self, certificate: Certificate, phone: str) -> Challenge:
        now, identity, code = self._clock.now(), secret_id(), f"{secrets.randbelow(10**6):06d}"
        message = CodeMessage(phone=phone, code=code).model_dump_json()
        challenge = Challenge.first(
            at=now,
            by=f"practitioner:{certificate.practitioner_id}",
            action="requested",
            id=identity,
            practitioner_id=certificate.practitioner_id,
            certificate_id=certificate.id,
            phone_index=certificate.phone_index,
            phone_hint=certificate.phone_hint,
            code_hash=self._hash(identity, code),
            message=self._keys.bus.seal(message, f"{CODE_CONTEXT}:{identity}"),
            open=True,
            tries_left=self._codes.tries,
            expires_at=now + timedelta(seconds=self._codes.lifetime_seconds),
            **self._sent(now),
        )
        await self._store.challenges.insert(challenge)
        return challenge

    def _sent(self, now: datetime) -> dict[str, object]:
        before = now + timedelta(seconds=self._codes.deliver_within_seconds)
        return {"sent_at": now, "send_before": before, "delivery": "requested", "delivery_at": now}

    async def _send_again(self, challenge: Challenge) -> Challenge:
        now, by = self._clock.now(), f"practitioner:{challenge.practitioner_id}"
        again = challenge.following(at=now, by=by, action="resent", **self._sent(now))
        await self._store.challenges.replace(again)
        return again

    async def resend(self, challenge_id: str, address: str) -> Challenge:
        """The same code once more. Raises `code_expired`, 429."""
        await self._throttle.admit(address)
        await self._admit_code(await self._bound(await self._live(challenge_id)))
        return await self._resent(challenge_id)

    async def _resent(self, challenge_id: str) -> Challenge:
        try:
            return await self._send_again(await self._live(challenge_id))
        except Conflict:  # judged or delivered this very moment; what was admitted is not counted twice
            return await self._resent(challenge_id)

    async def _live(self, challenge_id: str) -> Challenge:
        challenge = await self._store.challenges.get(challenge_id)
        if challenge is None or self.state(challenge) in ("used", "expired"):
            raise CodeExpired
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
        return challenge.sent_at + timedelta(seconds=self._codes.resend_seconds)

    async def log_in(self, challenge_id: str, code: str, address: str, device: str) -> tuple[Tokens, str]:
        """Tokens and the person's id. Raises `code_wrong` with the tries left, `code_expired`."""
        await self._throttle.admit_check(address)
        try:
            challenge = await self._judge(challenge_id, code)
        except CodeExpired:
            metrics.logins.labels("expired").inc()
            raise
        except CodeWrong:
            await self._throttle.wrong_code(address)
            raise
        certificate = await self._bound(challenge)
        metrics.logins.labels("right").inc()
        return await self._sessions.open_practitioner(certificate, address, device), challenge.practitioner_id

    async def _bound(self, challenge: Challenge) -> Certificate:
        """The active certificate, if it is still bound to the phone that the code went to."""
        certificate = await self._store.certificates.get(challenge.certificate_id)
        if certificate is None or certificate.state != "active" or certificate.phone_index != challenge.phone_index:
            raise CodeExpired
        return certificate

    async def _judge(self, challenge_id: str, code: str) -> Challenge:
        """Compare and count in one guarded write: of many tries at once each is judged by what the last one left."""
        challenge = await self._live(challenge_id)
        right = same(self._hash(challenge.id, code), challenge.code_hash)
        judged = self._closed(challenge, "used", used=True) if right else self._missed(challenge)
        try:
            await self._store.challenges.replace(judged)
        except Conflict:
            return await self._judge(challenge_id, code)
        if not right:
            metrics.logins.labels("wrong").inc()
            raise CodeWrong(judged.tries_left)
        return judged

    def _missed(self, challenge: Challenge) -> Challenge:
        left = challenge.tries_left - 1
        if left == 0:
            return self._closed(challenge, "spent", tries_left=0)
        by = f"practitioner:{challenge.practitioner_id}"
        return challenge.following(at=self._clock.now(), by=by, action="missed", tries_left=left)

    def _closed(self, challenge: Challenge, action: str, **fields: object) -> Challenge:
        by = f"practitioner:{challenge.practitioner_id}"
        return challenge.following(at=self._clock.now(), by=by, action=action, open=False, message=None, **fields)

    def _hash(self, challenge_id: str, code: str) -> str:
        return keyed_hash(self._codes.hmac_key, challenge_id, code)

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
