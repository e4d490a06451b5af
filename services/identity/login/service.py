"""Log-in by SMS code: from the captcha to the session."""

from collections.abc import Sequence
from dataclasses import dataclass

from kit.core.errors import AppError
from kit.observability.metrics import initialise
from kit.security import security_events
from kit.security.encryption import constant_time_equal
from services.identity import metrics
from services.identity.captcha.service import Captchas
from services.identity.certificates.domain import Certificate
from services.identity.keys import Keys
from services.identity.login.codes import CodeExpired, Codes, CodeWrong, NewCode
from services.identity.login.devices import Devices, known_device
from services.identity.login.domain import Challenge, Device
from services.identity.login.sessions import Sessions, Tokens
from services.identity.store import Store
from services.identity.throttle import Throttle

NOT_ENROLLED = "该证件号及手机号未申领个人数字证书，请先申领个人数字证书后再行登录"
OUTCOMES = ("asked", "right", "wrong", "expired", "limited")


@dataclass(frozen=True)
class CodeRequest:
    """A request for a code: document number, phone, captcha and its answer, device token of a known device."""

    number: str
    phone: str
    captcha_id: str
    answer: str
    device_token: str | None = None


@dataclass(frozen=True)
class LoggedIn:
    """A new session, its practitioner, and the device token for the next log-in."""

    tokens: Tokens
    practitioner_id: str
    device_token: str


class LoginService:
    """Sends log-in codes, and opens sessions with them."""

    def __init__(
        self, store: Store, keys: Keys, captchas: Captchas, codes: Codes, sessions: Sessions, devices: Devices,
        throttle: Throttle,
    ) -> None:  # fmt: skip
        self._store = store
        self._keys = keys
        self._captchas = captchas
        self._codes = codes
        self._sessions = sessions
        self._devices = devices
        self._throttle = throttle
        initialise(metrics.logins, OUTCOMES)
        security_events.initialise("not_enrolled", "captcha_wrong", event="login_code")
        security_events.initialise("code_wrong", "code_expired", event="login")

    async def request_code(self, wanted: CodeRequest, address: str) -> Challenge:
        """Send a code to the person's phone; a valid one is sent again. Raises `captcha_wrong`, `not_enrolled`, 429.

        A known device has codes and limits of its own.
        """
        claimed = self._keys.claimed(wanted.number)
        security_events.attempt("login_code", claimed)
        await self._throttle.admit(address)
        await self._captchas.verify(wanted.captcha_id, wanted.answer)
        devices = await self._devices.with_token(wanted.device_token)
        certificate = await self._enrolled(wanted, devices, address)
        device = known_device(devices, certificate)
        by = f"practitioner:{certificate.practitioner_id}"
        security_events.attempt("login_code", by)
        await self._admit_code(certificate, device)
        metrics.logins.labels("asked").inc()
        code = NewCode("login", certificate, wanted.phone, certificate.phone_index, by, device=device)
        challenge = await self._codes.send(code)
        security_events.record("login_code", subject=by, claimed=claimed, device=device or "")
        return challenge

    async def _enrolled(self, wanted: CodeRequest, devices: Sequence[Device], address: str) -> Certificate:
        """The active certificate with this number and phone.

        Raises `not_enrolled`, which is counted for the known device or else the network; 429.
        """
        index, phone_index = self._keys.number_index(wanted.number), self._keys.phone_index(wanted.phone)
        active = await self._active(wanted.number)
        source = next((device for each in active if (device := known_device(devices, each))), address)
        await self._throttle.admit_number(index, source)
        for certificate in active:
            if constant_time_equal(certificate.phone_index, phone_index):
                return certificate
        await self._throttle.not_enrolled(index, source)
        raise AppError(403, "not_enrolled", NOT_ENROLLED)

    async def _active(self, number: str) -> list[Certificate]:
        """The active certificates of everybody with this document number, which is not unique across types."""
        people = await self._store.people_with_number(self._keys.number_indexes(number))
        found = [await self._store.certificate_of(person.id) for person in people]
        return [certificate for certificate in found if certificate and certificate.state == "active"]

    async def _admit_code(self, certificate: Certificate, device: str | None) -> None:
        try:
            await self._throttle.admit_code(certificate.practitioner_id, certificate.phone_index, device)
        except AppError:
            metrics.logins.labels("limited").inc()
            raise

    async def resend(self, challenge_id: str, address: str) -> Challenge:
        """Send the same code again. Raises `code_expired`, 429."""
        security_events.attempt("login_code")
        await self._throttle.admit(address)
        challenge = await self._codes.valid(challenge_id)
        if not _for_login(challenge):
            raise CodeExpired
        subject = f"practitioner:{challenge.practitioner_id}"
        security_events.attempt("login_code", subject)
        await self._admit_code(await self._codes.bound(challenge), challenge.device)
        sent = await self._codes.resend(challenge_id)
        security_events.record("login_code", cause="again", subject=subject)
        return sent

    async def log_in(
        self, challenge_id: str, code: str, address: str, agent: str, device_token: str | None
    ) -> LoggedIn:
        """Open a session, and remember the device. Raises `code_wrong` with the attempts left, `code_expired`, 429."""
        security_events.attempt("login")
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
        device = await self._devices.remember(device_token, certificate)
        tokens = await self._sessions.open_practitioner(certificate, address, agent, device.id)
        subject = f"practitioner:{challenge.practitioner_id}"
        security_events.record("login", subject=subject, opened=tokens.session_id, device=device.id)
        return LoggedIn(tokens, challenge.practitioner_id, device.token)


def _for_login(challenge: Challenge) -> bool:
    return challenge.purpose == "login"
