"""Image and audio of a captcha."""

import secrets
from functools import cache
from io import BytesIO
from pathlib import Path

from captcha.audio import AudioCaptcha
from captcha.image import ImageCaptcha

LETTERS = "ABCDEFGHJKLMNPQRTUVWXY346789"  # no two look alike; deploy/voices/make.sh records each of them
LENGTH = 4
WIDTH, HEIGHT = 160, 60
FONT_SIZES = (38, 42, 46)
DARKEST, LIGHTEST = 40, 100  # of 255, for red, green and blue: a contrast well above 4.5:1 on the library's backgrounds
INK = [min(255, tone * 7) for tone in range(256)]  # the library uses a letter's brightness as its opacity
VOICES = Path(__file__).with_name("voices")


def new_answer() -> str:
    """The random answer of a new captcha."""
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTH))


class _Legible(ImageCaptcha):
    """The library's captcha, made readable: dark letters are fully opaque, tilted less and set apart."""

    lookup_table = INK
    character_rotate = (-18, 18)
    word_offset_dx = 0.05


def draw(answer: str, scale: int) -> bytes:
    """A PNG, `scale` times the normal size; takes 3 to 5 ms."""
    sizes, drawn = tuple(size * scale for size in FONT_SIZES), BytesIO()
    picture = _Legible(WIDTH * scale, HEIGHT * scale, font_sizes=sizes).generate_image(answer, fg_color=_dark())
    picture.save(drawn, "png", compress_level=1)  # 10 % larger than by default, 25 % faster
    return drawn.getvalue()


def _dark() -> tuple[int, int, int, int]:
    red, green, blue = (DARKEST + secrets.randbelow(LIGHTEST - DARKEST) for _ in range(3))
    return red, green, blue, 255


def speak(answer: str) -> bytes:
    """A WAV of about ten seconds, in Mandarin with background noise; takes 190 ms."""
    return bytes(_voice().generate(answer))


@cache
def _voice() -> AudioCaptcha:
    voice = AudioCaptcha(str(VOICES))
    voice.load()
    return voice
