"""Scans for tests: a certificate drawn at 300 dpi, reduced as a scanner would save it."""

from functools import cache
from io import BytesIO
from random import Random
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

A4_MM = (210, 297)
DRAWN_DPI = 300


def pixels(dpi: float, paper: tuple[int, int] = A4_MM) -> tuple[int, int]:
    across, down = paper
    return round(across / 25.4 * dpi), round(down / 25.4 * dpi)


@cache
def certificate(lines: int = 50) -> Image.Image:
    """Paper with a red frame and lines that resemble words."""
    width, height = pixels(DRAWN_DPI)
    page, chance = Image.new("RGB", (width, height), (246, 244, 238)), Random(3)
    pen = ImageDraw.Draw(page)
    pen.rectangle((80, 80, width - 80, height - 80), outline=(150, 30, 30), width=12)
    for line in range(lines):
        at = 200
        while at < width - 300:
            long = chance.randrange(20, 60)
            pen.rectangle((at, 220 + line * 60, at + long, 240 + line * 60), outline=(30, 30, 40), width=4)
            at += long + 20
    return page


def scan(
    dpi: float = 100,
    *,
    density: tuple[int, int] | None = None,
    seed: int = 0,
    blur: float = 0,
    dark: float = 1,
    page: Image.Image | None = None,
    paper: tuple[int, int] = A4_MM,
    **save: Any,
) -> bytes:
    """A JPEG; `density` is the one in its header, by default the true one; `seed` makes its bytes unique."""
    picture = page or certificate()
    if blur:
        picture = picture.filter(ImageFilter.GaussianBlur(blur * DRAWN_DPI / dpi))
    picture = picture.resize(pixels(dpi, paper), Image.Resampling.LANCZOS)
    if dark != 1:
        picture = picture.point([int(level * dark) for level in range(256)] * 3)
    if seed:
        ImageDraw.Draw(picture).text((picture.width // 2, picture.height - 40), f"No. {seed}", fill=(10, 10, 10))
    made = BytesIO()
    picture.save(made, "JPEG", **{"quality": 75, "dpi": density or (dpi, dpi)} | save)
    return made.getvalue()


def photo(orientation: int = 1) -> bytes:
    """A certificate in landscape on a desk, as a phone takes it: 4000×3000, about 4 MB, 72 dpi in EXIF.

    `orientation`: how the phone was held, as EXIF counts; a viewer that applies it shows the certificate upright.
    """
    page = certificate().transpose(Image.Transpose.ROTATE_90).resize((3600, 2546))
    taken = Image.new("RGB", (4000, 3000), (96, 72, 52))
    taken.paste(page.rotate(1.5, Image.Resampling.BICUBIC, expand=True, fillcolor=(96, 72, 52)), (170, 180))
    shade = Image.linear_gradient("L").resize(taken.size).convert("RGB")
    grain = Image.effect_noise(taken.size, 40).convert("RGB")
    taken = Image.blend(Image.blend(taken, shade, 0.2), grain, 0.12)
    exif, made = Image.Exif(), BytesIO()
    exif[0x0112], exif[0x011A], exif[0x011B], exif[0x0128] = orientation, 72.0, 72.0, 2
    taken.save(made, "JPEG", quality=92, exif=exif)
    return made.getvalue()


def padded(content: bytes, size: int) -> bytes:
    """The same image in a file of this size, with comments before the scan, as some software writes them."""
    missing, start = size - len(content), content[:2]
    rest = content[2:]
    comments = b""
    while missing:
        length = min(missing, 60_000)
        if 0 < missing - length < 4:
            length -= 4
        comments += b"\xff\xfe" + (length - 2).to_bytes(2, "big") + b" " * (length - 4)
        missing -= length
    return start + comments + rest
