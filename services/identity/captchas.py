"""Captchas: letters and digits to be read or heard, spent by one use."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kit import metrics
from kit.cache import Cache
from kit.clock import Clock
from kit.errors import AppError, NotFound
from kit.ids import secret_id
from services.identity.captcha_pool import Pool
from services.identity.settings import CaptchaSettings


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
    """Serves captchas and judges answers. Many may have the same answer, each is spent by itself."""

    def __init__(self, cache: Cache, pool: Pool, settings: CaptchaSettings, clock: Clock) -> None:
        self._cache, self._pool, self._clock = cache, pool, clock
        self._seconds = settings.lifetime_seconds
        metrics.begin(metrics.captchas, ["made", "audio", "right", "wrong", "expired"])

    async def make(self, scale: int) -> Captcha:
        """A captcha, `scale` times the normal size."""
        identity, answer = secret_id(), await self._pool.answer()
        picture = await self._pool.picture(answer, scale)
        await self._cache.put(f"captcha:{identity}", answer, self._seconds)
        metrics.captchas.labels("made").inc()
        return Captcha(
            identity, f"data:image/png;base64,{picture}", self._clock.now() + timedelta(seconds=self._seconds)
        )

    async def hear(self, identity: str) -> bytes:
        """The same captcha as a WAV; to hear it does not spend it. Raises `NotFound` when it is spent or too old."""
        answer = await self._cache.get(f"captcha:{identity}")
        if answer is None:
            raise NotFound(detail="验证码已失效，请重新获取")
        metrics.captchas.labels("audio").inc()
        return await self._pool.sound(answer)

    async def spend(self, identity: str, answer: str) -> None:
        """Take the captcha; raises 422 `captcha_wrong` unless the answer is right (case does not matter)."""
        expected = await self._cache.take(f"captcha:{identity}")
        right = expected is not None and expected.casefold() == answer.strip().casefold()
        metrics.captchas.labels("right" if right else "wrong" if expected else "expired").inc()
        if not right:
            raise CaptchaWrong
