"""Captchas: letters and digits to be read or heard, spent by one use."""

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
"""For a sound: it takes 190 ms of a core, so they are made one at a time."""


class CaptchaWrong(AppError):
    """Not what the captcha shows; or it was spent, or is too old."""

    cause = "captcha_wrong"

    def __init__(self) -> None:
        super().__init__(422, self.cause, "请填写正确的验证码，验证码不区分大小写")


@dataclass(frozen=True)
class Captcha:
    """A captcha to be solved; `image` is a data URI."""

    id: str
    image: str
    expires_at: datetime


class Captchas:
    """Makes captchas and judges answers. Many may have the same answer, each is spent by itself."""

    def __init__(self, cache: Cache, settings: CaptchaSettings, clock: Clock) -> None:
        self._cache, self._clock = cache, clock
        self._seconds = settings.lifetime_seconds
        # one at a time: threads that take the interpreter from each other double what a picture costs
        self._drawing = asyncio.Lock()
        self._speaking = asyncio.Lock()
        self._waiting = 0
        initialise(metrics.captchas, ["made", "audio", "right", "wrong", "expired"])

    async def make(self, scale: int) -> Captcha:
        """A captcha, `scale` times the normal size."""
        identity, answer = secret_id(), new_answer()
        async with self._drawing:
            picture = base64.b64encode(await asyncio.to_thread(draw, answer, scale)).decode()
        await self._cache.put(f"captcha:{identity}", answer, self._seconds)
        metrics.captchas.labels("made").inc()
        return Captcha(
            identity, f"data:image/png;base64,{picture}", self._clock.now() + timedelta(seconds=self._seconds)
        )

    async def hear(self, identity: str) -> bytes:
        """The same captcha as a WAV, the same one each time; to hear it does not spend it.

        Raises `NotFound` when it is spent or too old, `Unavailable` when too many wait for a sound.
        """
        answer = await self._cache.get(f"captcha:{identity}")
        if answer is None:
            raise NotFound(detail="验证码已失效，请重新获取")
        metrics.captchas.labels("audio").inc()
        key = f"captcha-sound:{identity}"
        kept = await self._cache.get(key)
        if kept is None:
            kept = await self._in_turn(answer)
            await self._cache.put(key, kept, self._seconds)
        return zlib.decompress(base64.b64decode(kept))

    async def _in_turn(self, answer: str) -> str:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("captcha sounds")
        self._waiting += 1
        try:
            async with self._speaking:
                return await asyncio.to_thread(_spoken, answer)
        finally:
            self._waiting -= 1

    async def spend(self, identity: str, answer: str) -> None:
        """Take the captcha; raises 422 `captcha_wrong` unless the answer is right (case does not matter)."""
        expected = await self._cache.take(f"captcha:{identity}")
        right = expected is not None and expected.casefold() == answer.strip().casefold()
        metrics.captchas.labels("right" if right else "wrong" if expected else "expired").inc()
        if not right:
            raise CaptchaWrong


def _spoken(answer: str) -> str:
    """As text like all that the cache keeps; compressed, it is two thirds as long as the sound itself."""
    return base64.b64encode(zlib.compress(speak(answer))).decode()
