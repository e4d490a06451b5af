"""Captchas: letters and digits as an image or as audio, used up by one attempt."""

import asyncio
import base64
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from kit.core.clock import Clock
from kit.core.errors import AppError, NotFound, Unavailable
from kit.core.ids import secret_id
from kit.observability.metrics import initialise
from kit.redis import Cache
from services.identity import metrics
from services.identity.captcha.media import draw, new_answer, speak
from services.identity.settings import CaptchaSettings

MAX_WAITING = 20
"""Requests that wait for audio, which takes 190 ms of a core and is generated one at a time."""


class CaptchaWrong(AppError):
    """The answer is wrong, or the captcha was used or has expired."""

    cause = "captcha_wrong"

    def __init__(self) -> None:
        super().__init__(422, self.cause, "请填写正确的验证码，验证码不区分大小写")


@dataclass(frozen=True)
class Captcha:
    """A new captcha; `image` is a PNG data URI."""

    id: str
    image: str
    expires_at: datetime


class Captchas:
    """Creates captchas and checks answers. Each captcha is used up separately, also if two have the same answer."""

    def __init__(self, cache: Cache, settings: CaptchaSettings, clock: Clock) -> None:
        self._cache, self._clock = cache, clock
        self._seconds = settings.lifetime_seconds
        # one at a time: threads that compete for the interpreter double the cost of an image
        self._drawing = asyncio.Lock()
        self._speaking = asyncio.Lock()
        self._waiting = 0
        initialise(metrics.captchas, ["made", "audio", "right", "wrong", "expired"])

    async def make(self, scale: int) -> Captcha:
        """Create a captcha whose image has `scale` times the normal size."""
        captcha_id, answer = secret_id(), new_answer()
        async with self._drawing:
            picture = base64.b64encode(await asyncio.to_thread(draw, answer, scale)).decode()
        await self._cache.put(f"captcha:{captcha_id}", answer, self._seconds)
        metrics.captchas.labels("made").inc()
        return Captcha(
            captcha_id, f"data:image/png;base64,{picture}", self._clock.now() + timedelta(seconds=self._seconds)
        )

    async def audio(self, captcha_id: str) -> bytes:
        """The captcha as WAV, the same bytes each time; does not use it up.

        Raises `NotFound` when it was used or has expired, `Unavailable` when too many requests wait for audio.
        """
        answer = await self._cache.get(f"captcha:{captcha_id}")
        if answer is None:
            raise NotFound(detail="验证码已失效，请重新获取")
        metrics.captchas.labels("audio").inc()
        key = f"captcha-sound:{captcha_id}"
        encoded = await self._cache.get(key)
        if encoded is None:
            encoded = await self._in_turn(answer)
            await self._cache.put(key, encoded, self._seconds)
        return zlib.decompress(base64.b64decode(encoded))

    async def _in_turn(self, answer: str) -> str:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("captcha audio")
        self._waiting += 1
        try:
            async with self._speaking:
                return await asyncio.to_thread(_encoded_audio, answer)
        finally:
            self._waiting -= 1

    async def verify(self, captcha_id: str, answer: str) -> None:
        """Use the captcha up. Raises 422 `captcha_wrong` unless the answer is right, ignoring case."""
        expected = await self._cache.take(f"captcha:{captcha_id}")
        right = expected is not None and expected.casefold() == answer.strip().casefold()
        metrics.captchas.labels("right" if right else "wrong" if expected else "expired").inc()
        if not right:
            raise CaptchaWrong


def _encoded_audio(answer: str) -> str:
    """The WAV as text, because the cache stores text; compressed, this is two thirds of the WAV's size."""
    return base64.b64encode(zlib.compress(speak(answer))).decode()
