"""Captchas: a picture of letters and digits, spent by one use."""

import asyncio
import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from captcha.image import ImageCaptcha

from kit import metrics
from kit.cache import Cache
from kit.clock import Clock
from kit.errors import AppError
from kit.ids import secret_id

LETTERS = "ABCDEFGHJKLMNPQRTUVWXY346789"  # none that look alike
LENGTH = 4
LIFETIME = timedelta(minutes=5)
WIDTH, HEIGHT = 160, 60


@dataclass(frozen=True)
class Captcha:
    """A captcha to be solved; `image` is a data URI."""

    id: str
    image: str
    expires_at: datetime


class Captchas:
    """Makes captchas and judges answers."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache, self._clock = cache, clock

    async def make(self, scale: int) -> Captcha:
        """A new captcha, `scale` times the normal size."""
        identity, answer = secret_id(), "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
        await self._cache.put(f"captcha:{identity}", answer, int(LIFETIME.total_seconds()))
        picture = await asyncio.to_thread(_draw, answer, scale)
        metrics.captchas.labels("made").inc()
        image = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        return Captcha(identity, image, self._clock.now() + LIFETIME)

    async def spend(self, identity: str, answer: str) -> None:
        """Take the captcha; raises 422 `captcha_wrong` unless the answer is right (case does not matter)."""
        expected = await self._cache.take(f"captcha:{identity}")
        right = expected is not None and expected.casefold() == answer.strip().casefold()
        metrics.captchas.labels("right" if right else "wrong").inc()
        if not right:
            raise AppError(422, "captcha_wrong", "请填写正确的验证码，验证码不区分大小写")


def _draw(answer: str, scale: int) -> bytes:
    sizes = tuple(size * scale for size in (42, 50, 56))
    drawn: bytes = ImageCaptcha(WIDTH * scale, HEIGHT * scale, font_sizes=sizes).generate(answer).getvalue()
    return drawn
