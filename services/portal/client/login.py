"""Logging in at identity: every call that the login pages make."""

from services.portal.client.answers import Captcha, CodeSent, CodeState, Tokens
from services.portal.client.backend import Backend, CallerContext


class LoginCalls:
    """From captcha to tokens; every call may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, asker: CallerContext) -> None:
        self._backend, self._asker = backend, asker

    async def captcha(self, scale: int) -> Captcha:
        """A captcha, `scale` times the normal size."""
        query = {"scale": scale}
        return await self._backend.read(self._asker, "identity", Captcha, "POST", "/captchas", params=query)

    async def captcha_audio(self, captcha_id: str) -> bytes:
        """The same captcha as a WAV."""
        return (await self._backend.ask(self._asker, "identity", "GET", f"/captchas/{captcha_id}/audio")).content

    async def send_code(self, number: str, phone: str, captcha_id: str, answer: str, device: str) -> CodeSent:
        """Send a code to the person's phone; `device`: the token of this browser, where there was a log-in before."""
        body = {"document_number": number, "phone": phone, "captcha_id": captcha_id, "captcha_answer": answer}
        body |= _token(device)
        return await self._backend.read(self._asker, "identity", CodeSent, "POST", "/login/codes", json=body)

    async def code_state(self, challenge_id: str) -> CodeState:
        """Where the code is."""
        path = f"/login/codes/{challenge_id}"
        return await self._backend.read(self._asker, "identity", CodeState, "GET", path)

    async def resend(self, challenge_id: str) -> CodeSent:
        """The same code again."""
        path = f"/login/codes/{challenge_id}/resend"
        return await self._backend.read(self._asker, "identity", CodeSent, "POST", path)

    async def tokens(self, challenge_id: str, code: str, device: str) -> Tokens:
        """A session for the right code."""
        body = {"challenge_id": challenge_id, "code": code, **_token(device)}
        return await self._backend.read(self._asker, "identity", Tokens, "POST", "/login/sessions", json=body)

    async def proof_code(self) -> CodeSent:
        """Send a code to who is logged in, for a fresh proof."""
        return await self._backend.read(self._asker, "identity", CodeSent, "POST", "/sessions/current/codes")


def _token(device: str) -> dict[str, str]:
    return {"device_token": device} if device else {}
