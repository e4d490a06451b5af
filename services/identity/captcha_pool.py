"""Captchas made in advance: the worker makes them and renews them all the time, the API serves them from Redis."""

import asyncio
import base64
import secrets
import zlib

from kit import log
from kit.cache import Cache
from kit.errors import Unavailable
from services.identity.captcha_media import draw, new_answer, speak
from services.identity.settings import CaptchaSettings

POOL = "captcha-pool"
SCALES = (1, 2)
logger = log.get(__name__)


class Pool:
    """The answers in use stand in one value, newest last; what belongs to an answer stands beside it.

    The same captcha may be served more than once, and soon gives way to another: who collects them collects in vain.
    What is not there (Redis was emptied, no worker runs) is made on the spot.
    """

    def __init__(self, cache: Cache, settings: CaptchaSettings) -> None:
        self._cache, self._settings = cache, settings
        # an answer's sound is asked for as long as a captcha lives that was served last of all
        self._kept = int(settings.pool * settings.renew_seconds) + 2 * settings.lifetime_seconds

    async def answer(self) -> str:
        """Any of the pool, or a new one while it holds so few that somebody could know them all."""
        answers = (await self._cache.get(POOL) or "").split()
        return secrets.choice(answers) if len(answers) >= self._settings.least else new_answer()

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
        """Make as many as are needed to serve them, then one every few seconds: a part of the worker."""
        while True:
            try:
                missing = await self.renew() < self._settings.least
            except Unavailable as error:
                logger.warning("the pool of captchas waits", cause=repr(error))
                missing = False
            await asyncio.sleep(self._settings.renew_seconds / (3 if missing else 1))

    async def renew(self) -> int:
        """Make one captcha and take it in; how many there are then. Another worker may do the same this very moment."""
        answer = new_answer()
        for scale in SCALES:
            await self._keep(_picture(answer, scale), await asyncio.to_thread(_drawn, answer, scale))
        await self._keep(_sound(answer), await asyncio.to_thread(_spoken, answer))
        before = await self._cache.get(POOL)
        answers = [*(before or "").split(), answer][-self._settings.pool :]
        await self._take_in(before, " ".join(answers))
        return len(answers)

    async def _take_in(self, before: str | None, after: str) -> None:
        """Should all workers die, the pool ends soon: captchas that nobody renews are no captchas."""
        seconds = max(1, int(self._settings.renew_seconds * 12))
        if before is None:
            await self._cache.put(POOL, after, seconds)
        else:
            await self._cache.swap(POOL, before, after, seconds)

    async def _keep(self, key: str, value: str) -> None:
        await self._cache.put(key, value, self._kept)


def _picture(answer: str, scale: int) -> str:
    return f"captcha-picture:{answer}:{scale}"


def _sound(answer: str) -> str:
    return f"captcha-sound:{answer}"


def _drawn(answer: str, scale: int) -> str:
    return base64.b64encode(draw(answer, scale)).decode()


def _spoken(answer: str) -> str:
    """As text like all that the cache keeps; compressed, it is two thirds as long as the sound itself."""
    return base64.b64encode(zlib.compress(speak(answer))).decode()
