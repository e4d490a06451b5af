"""Calls to identity for log-in and recent authentication."""

from services.portal.client.backend import Backend, CallerContext
from services.portal.client.models import Captcha, CodeSent, CodeState, Tokens


class LoginCalls:
    """From captcha to tokens. Each call may raise `Refused` or `Unavailable`."""

    def __init__(self, backend: Backend, caller: CallerContext) -> None:
        self._backend = backend
        self._caller = caller

    async def captcha(self, scale: int) -> Captcha:
        """A new captcha, `scale` times the normal size."""
        query = {"scale": scale}
        return await self._backend.read(self._caller, "identity", Captcha, "POST", "/captchas", params=query)

    async def captcha_audio(self, captcha_id: str) -> bytes:
        """The captcha spoken, as WAV."""
        return (await self._backend.request(self._caller, "identity", "GET", f"/captchas/{captcha_id}/audio")).content

    async def send_code(self, number: str, phone: str, captcha_id: str, answer: str, device_token: str) -> CodeSent:
        """Send a code to the person's phone; `device_token` is empty before the browser's first log-in."""
        body = {"document_number": number, "phone": phone, "captcha_id": captcha_id, "captcha_answer": answer}
        body |= _optional_token(device_token)
        return await self._backend.read(self._caller, "identity", CodeSent, "POST", "/login/codes", json=body)

    async def code_state(self, challenge_id: str) -> CodeState:
        """The delivery state of the code."""
        path = f"/login/codes/{challenge_id}"
        return await self._backend.read(self._caller, "identity", CodeState, "GET", path)

    async def resend(self, challenge_id: str) -> CodeSent:
        """Send the same code again."""
        path = f"/login/codes/{challenge_id}/resend"
        return await self._backend.read(self._caller, "identity", CodeSent, "POST", path)

    async def tokens(self, challenge_id: str, code: str, device_token: str) -> Tokens:
        """Open a session with the code."""
        body = {"challenge_id": challenge_id, "code": code, **_optional_token(device_token)}
        return await self._backend.read(self._caller, "identity", Tokens, "POST", "/login/sessions", json=body)

    async def proof_code(self) -> CodeSent:
        """Send a code to the person who is logged in, who has to authenticate again."""
        return await self._backend.read(self._caller, "identity", CodeSent, "POST", "/sessions/current/codes")


def _optional_token(device_token: str) -> dict[str, str]:
    return {"device_token": device_token} if device_token else {}
