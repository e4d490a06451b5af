"""Log in by SMS code: from captcha to session."""

from kit import metrics, security
from kit.errors import AppError
from kit.seal import same
from services.identity.captchas import Captchas
from services.identity.codes import CodeExpired, Codes, CodeWrong, Wanted
from services.identity.keys import Keys
from services.identity.sessions import Sessions, Tokens
from services.identity.store import Certificate, Challenge, Store
from services.identity.throttle import Throttle

NOT_ENROLLED = "该证件号及手机号未申领个人数字证书，请先申领个人数字证书后再行登录"
OUTCOMES = ("asked", "right", "wrong", "expired", "limited")


class LoginService:
    """From captcha to session."""

    def __init__(
        self, store: Store, keys: Keys, captchas: Captchas, codes: Codes, sessions: Sessions, throttle: Throttle
    ) -> None:
        self._store, self._keys, self._captchas, self._codes = store, keys, captchas, codes
        self._sessions, self._throttle = sessions, throttle
        metrics.begin(metrics.logins, OUTCOMES)
        security.begin("not_enrolled", "captcha_wrong", event="login_code")
        security.begin("code_wrong", "code_expired", event="login")

    async def request_code(self, number: str, phone: str, captcha_id: str, answer: str, address: str) -> Challenge:
        """Send a code to the person's phone; a live one is sent again. Raises `captcha_wrong`, `not_enrolled`, 429."""
        claimed = self._keys.claimed(number)
        security.attempt("login_code", claimed)
        await self._throttle.admit(address)
        await self._captchas.spend(captcha_id, answer)
        certificate = await self._enrolled(number, phone, address)
        by = f"practitioner:{certificate.practitioner_id}"
        security.attempt("login_code", by)
        await self._admit_code(certificate)
        metrics.logins.labels("asked").inc()
        challenge = await self._codes.send(Wanted("login", certificate, phone, certificate.phone_index, by))
        security.record("login_code", subject=by, claimed=claimed)
        return challenge

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

    async def resend(self, challenge_id: str, address: str) -> Challenge:
        """The same code once more. Raises `code_expired`, 429."""
        security.attempt("login_code")
        await self._throttle.admit(address)
        challenge = await self._codes.live(challenge_id)
        if not _for_login(challenge):
            raise CodeExpired
        subject = f"practitioner:{challenge.practitioner_id}"
        security.attempt("login_code", subject)
        await self._admit_code(await self._codes.bound(challenge))
        sent = await self._codes.resend(challenge_id)
        security.record("login_code", cause="again", subject=subject)
        return sent

    async def log_in(self, challenge_id: str, code: str, address: str, device: str) -> tuple[Tokens, str]:
        """Tokens and the person's id. Raises `code_wrong` with the tries left, `code_expired`."""
        security.attempt("login")
        try:
            challenge = await self._codes.prove(challenge_id, code, address, _for_login)
        except CodeExpired:
            metrics.logins.labels("expired").inc()
            raise
        except CodeWrong:
            metrics.logins.labels("wrong").inc()
            raise
        certificate = await self._codes.bound(challenge)
        metrics.logins.labels("right").inc()
        tokens = await self._sessions.open_practitioner(certificate, address, device)
        security.record("login", subject=f"practitioner:{challenge.practitioner_id}", opened=tokens.session_id)
        return tokens, challenge.practitioner_id


def _for_login(challenge: Challenge) -> bool:
    return challenge.purpose == "login"
