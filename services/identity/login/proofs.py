"""Recent authentication: a person who is logged in authenticates again with a code (decision 0036)."""

from kit.core.errors import AppError
from kit.security import security_events
from kit.security.tokens import Caller
from services.identity.certificates.domain import Certificate
from services.identity.keys import Keys
from services.identity.login.codes import CodeExpired, Codes, NewCode
from services.identity.login.domain import Challenge
from services.identity.login.sessions import Sessions, Tokens
from services.identity.store import Store
from services.identity.throttle import Throttle


class Proofs:
    """Sends a code for the caller's session to their phone, and checks it."""

    def __init__(self, store: Store, keys: Keys, codes: Codes, sessions: Sessions, throttle: Throttle) -> None:
        self._store = store
        self._keys = keys
        self._codes = codes
        self._sessions, self._throttle = sessions, throttle

    async def send_code(self, caller: Caller, address: str) -> Challenge:
        """Send a code that only this session can use; a valid one is sent again. Raises 403, 401, 429."""
        security_events.attempt("proof_code", caller.label)
        certificate = await self._certificate(caller)
        await self._throttle.admit(address)
        await self._throttle.admit_code(caller.subject, certificate.phone_index)
        phone = self._keys.phone(certificate.contact or "", caller.subject)
        code = NewCode("confirm", certificate, phone, certificate.phone_index, caller.label, caller.session)
        challenge = await self._codes.send(code)
        security_events.record("proof_code", subject=caller.label)
        return challenge

    async def prove(self, caller: Caller, challenge_id: str, code: str, address: str) -> Tokens:
        """Check the code. Returns tokens with a new `auth_time`. Raises `code_wrong`, `code_expired`, 401, 403, 429."""
        security_events.attempt("fresh_proof", caller.label)
        await self._certificate(caller)

        def sent_for(challenge: Challenge) -> bool:
            return challenge.purpose == "confirm" and challenge.session == caller.session

        challenge = await self._codes.prove(challenge_id, code, address, sent_for)
        await self._codes.bound(challenge)
        tokens = await self._sessions.prove(caller)
        security_events.record("fresh_proof", subject=caller.label)
        return tokens

    async def _certificate(self, caller: Caller) -> Certificate:
        """The active certificate of the caller, whose session is open. Raises 403, 401, `code_expired`."""
        if caller.kind != "practitioner":
            raise AppError(403, "forbidden", "您没有权限进行此操作")
        await self._sessions.current(caller)
        certificate = await self._store.certificate_of(caller.subject)
        if certificate is None or certificate.state != "active":
            raise CodeExpired
        return certificate
