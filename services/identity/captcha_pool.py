"""Captchas made in advance: the worker fills the pool, the API serves each of them once, from Redis."""

import asyncio
import base64
import zlib

from kit import log
from kit.cache import Cache
from kit.errors import Unavailable
from services.identity.captcha_media import draw, new_answer, speak
from services.identity.settings import CaptchaSettings

POOL = "captcha-queue"
SCALES = (1, 2)
KEPT_SECONDS = 24 * 3600
logger = log.get(__name__)


class Pool:
    """A queue of answers, each served once; the pictures and the sound of an answer are kept beside it.

    What is not there (the pool is used up, Redis was emptied, no worker runs) is made on the spot.
    """

    def __init__(self, cache: Cache, settings: CaptchaSettings) -> None:
        self._cache, self._settings = cache, settings

    async def answer(self) -> str:
        """The next one of the pool, or a new one."""
        return await self._cache.pop(POOL) or new_answer()

    async def picture(self, answer: str, scale: int) -> str:
        """The PNG in base64."""
        kept = await self._cache.get(_picture(answer, scale))
        return await asyncio.to_thread(_drawn, answer, scale) if kept is None else kept

    async def sound(self, answer: str) -> bytes:
        """The WAV; one that is made on the spot is kept for who listens twice."""
        kept = await self._cache.get(_sound(answer))
        if kept is None:
            kept = await asyncio.to_thread(_spoken, answer)
            await self._cache.put(_sound(answer), kept, self._settings.lifetime_seconds)
        return zlib.decompress(base64.b64decode(kept))

    async def run(self) -> None:
        """Make another one every few seconds while the pool is not full: a part of the worker."""
        while True:
            try:
                await self.fill()
            except Unavailable as error:
                logger.warning("the pool of captchas waits", cause=repr(error))
            await asyncio.sleep(self._settings.renew_seconds)

    async def fill(self) -> int:
        """Make one captcha unless the pool is full; how many it holds then."""
        held = await self._cache.length(POOL)
        if held >= self._settings.pool:
            return held
        answer = new_answer()
        for scale in SCALES:
            await self._keep(_picture(answer, scale), await asyncio.to_thread(_drawn, answer, scale))
        await self._keep(_sound(answer), await asyncio.to_thread(_spoken, answer))
        return await self._cache.push(POOL, answer, self._settings.pool, KEPT_SECONDS)

    async def _keep(self, key: str, value: str) -> None:
        await self._cache.put(key, value, KEPT_SECONDS)


def _picture(answer: str, scale: int) -> str:
    return f"captcha-picture:{answer}:{scale}"


def _sound(answer: str) -> str:
    return f"captcha-sound:{answer}"


def _drawn(answer: str, scale: int) -> str:
    return base64.b64encode(draw(answer, scale)).decode()


def _spoken(answer: str) -> str:
    """As text like all that the cache keeps; compressed, it is two thirds as long as the sound itself."""
    return base64.b64encode(zlib.compress(speak(answer))).decode()
