"""How a captcha looks and how it sounds."""

import secrets
from functools import cache
from pathlib import Path

from captcha.audio import AudioCaptcha
from captcha.image import ImageCaptcha

LETTERS = "ABCDEFGHJKLMNPQRTUVWXY346789"  # none that look alike; deploy/voices/make.sh gives each its voice
LENGTH = 4
WIDTH, HEIGHT = 160, 60
FONT_SIZES = (42, 50, 56)
VOICES = Path(__file__).with_name("voices")


def new_answer() -> str:
    """What a new captcha says."""
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTH))


def draw(answer: str, scale: int) -> bytes:
    """A PNG, `scale` times the normal size; 3 to 5 ms."""
    sizes = tuple(size * scale for size in FONT_SIZES)
    drawn: bytes = ImageCaptcha(WIDTH * scale, HEIGHT * scale, font_sizes=sizes).generate(answer).getvalue()
    return drawn


def speak(answer: str) -> bytes:
    """A WAV of some ten seconds, in Mandarin over murmur; 150 ms."""
    return bytes(_voice().generate(answer))


@cache
def _voice() -> AudioCaptcha:
    voice = AudioCaptcha(str(VOICES))
    voice.load()
    return voice
