"""Files made for the checks: hostile ones of every kind, and good ones as scanners save them."""

import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from itertools import product
from random import Random
from typing import Any

from PIL import Image, ImageChops, ImageCms, ImageDraw

from tests.support.scans import certificate, padded, pixels, scan

MARK = b"<script>alert('planted')</script>"
LIMIT = 300 * 1024
HEADER = 700  # about where the tables end and the image data begin
Mutation = Callable[[bytearray, int, Random], None]
"""Changes a file in place, at a position or behind it."""


def _bytes_changed(content: bytearray, at: int, chance: Random) -> None:
    for _ in range(chance.randrange(1, 20)):
        content[min(len(content) - 1, at + chance.randrange(200))] = chance.randrange(256)


def _bits_flipped(content: bytearray, at: int, chance: Random) -> None:
    for _ in range(chance.randrange(1, 4)):
        content[min(len(content) - 1, at + chance.randrange(60))] ^= 1 << chance.randrange(8)


def _taken_out(content: bytearray, at: int, chance: Random) -> None:
    del content[at : at + chance.randrange(1, 400)]


def _doubled(content: bytearray, at: int, chance: Random) -> None:
    content[at:at] = content[at : at + chance.randrange(1, 400)]


def _moved(content: bytearray, at: int, chance: Random) -> None:
    piece = content[at : at + chance.randrange(1, 400)]
    del content[at : at + len(piece)]
    content += piece


def _filled(content: bytearray, at: int, chance: Random) -> None:
    size = min(len(content) - at, chance.randrange(2, 90))
    content[at : at + size] = bytes([chance.choice((0x00, 0xFF))]) * size


def _markers(content: bytearray, at: int, chance: Random) -> None:
    content[at:at] = bytes([0xFF, chance.randrange(0xC0, 0x100)]) + chance.randbytes(chance.randrange(0, 9))


def _lengths(content: bytearray, at: int, chance: Random) -> None:
    """Changes the declared length of the segment after `at`."""
    found = content.find(b"\xff", at, len(content) - 4)
    content[max(found, 3) + 2 : max(found, 3) + 4] = struct.pack(">H", chance.choice((0, 1, 2, 0xFFFF, 999)))


MUTATIONS: list[Mutation] = [
    _bytes_changed, _bits_flipped, _taken_out, _doubled, _moved, _filled, _markers, _lengths,
]  # fmt: skip


@cache
def _seeds() -> list[bytes]:
    return [
        scan(72), scan(72, quality=30), scan(100, quality=40, progressive=True), scan(72, comment=MARK * 9),
        scan(72, restart_marker_rows=1), resaved("L"), resaved("CMYK", 72, quality=40),
    ]  # fmt: skip


def mutated(count: int, chance: Random) -> Iterator[bytes]:
    """Every mutation of every seed, in the header (where it is most effective) and in the image data."""
    kinds = list(product((True, False), MUTATIONS, _seeds()))
    chance.shuffle(kinds)
    for number in range(count):
        header, mutation, seed = kinds[number % len(kinds)]
        content = bytearray(seed)
        mutation(content, chance.randrange(3, HEADER if header else len(content) - 500), chance)
        yield bytes(seed[:3] + content[3:])


def cut_off(count: int, chance: Random) -> Iterator[bytes]:
    seeds = _seeds()
    for number in range(count):
        content = seeds[number % len(seeds)]
        yield content[: chance.randrange(3, len(content) - 2 if number % 3 else HEADER)]


def claiming(content: bytes, width: int, height: int) -> bytes:
    """The same file with another size in its frame header."""
    frame = next(at for at in range(len(content)) if content[at : at + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return content[: frame + 5] + struct.pack(">HH", height, width) + content[frame + 9 :]


def bombs() -> Iterator[bytes]:
    content = scan(72)
    for width, height in ((65_500, 65_500), (5_000, 5_000), (65_535, 1), (1, 65_535), (4_999, 5_001), (1, 1), (8, 8)):
        yield claiming(content, width, height)
    blank = BytesIO()
    Image.new("RGB", (5_000, 5_000), "white").save(blank, "JPEG", quality=20)
    yield blank.getvalue()[: 290 * 1024]


def many_scans(size: int, times: int) -> bytes:
    """A small progressive file with many identical scans, each of which has to be decoded."""
    made = BytesIO()
    Image.new("L", (size, size), 200).save(made, "JPEG", progressive=True, quality=50)
    content = made.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * times + content[-2:]


def polyglots() -> Iterator[bytes]:
    """JPEGs that are also files of another format: at their end, in the middle, or by their name."""
    content, archive = scan(72), BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("evil.html", MARK)
    yield content + archive.getvalue()
    yield content + b"<?php system($_GET[0]); ?>" + MARK
    yield content + b"%PDF-1.7\n1 0 obj<</JS(app.alert(1))>>endobj" + MARK
    yield content + content
    for hidden in (MARK, b"%PDF-1.7\n" + MARK, b"GIF89a" + MARK):
        yield content[:2] + b"\xff\xfe" + struct.pack(">H", len(hidden) + 2) + hidden + content[2:]
    yield scan(72, icc_profile=MARK * 99, xmp=MARK * 9, comment=MARK)


def other_formats() -> Iterator[bytes]:
    small = certificate().resize((200, 280))
    for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "PDF"):
        made = BytesIO()
        small.save(made, kind)
        yield made.getvalue()
    yield from (MARK, b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xfe" + scan(72)[3:], b"MZ" + bytes(200), b"\x7fELF" * 9)


def pretending() -> Iterator[bytes]:
    """The first three bytes of a JPEG, followed by something else."""
    begin = b"\xff\xd8\xff"
    yield from (begin, begin + b"\xd9", begin + MARK * 99, begin + b"\xe0\x00\x00" * 999, begin + b"\xff" * 99_999)
    yield from (begin + b"\xda" + bytes(999), begin + b"\xc0" + bytes(999), begin + b"\xfe\x00\x02" * 60_000)


def hostile(count: int, chance: Random) -> list[bytes]:
    """`count` files of all kinds, each below the size limit; `many_scans` is not included."""
    kinds = [*bombs(), *polyglots(), *other_formats(), *pretending()]
    cut = (count - len(kinds)) // 6
    everything = [*kinds, *cut_off(cut, chance), *mutated(count - len(kinds) - cut, chance)]
    return [content[: LIMIT - 1] for content in everything]


def resaved(mode: str = "RGB", dpi: int = 100, **save: Any) -> bytes:
    """The certificate in another colour space."""
    with Image.open(BytesIO(scan(dpi, quality=95))) as picture:
        made = BytesIO()
        picture.convert(mode).save(made, "JPEG", **{"quality": 60, "dpi": (dpi, dpi)} | save)
        return made.getvalue()


def turned(orientation: int, dpi: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, MARK.decode()
    exif[0x8825] = {1: "N", 2: (31.0, 14.0, 0.0)}
    return scan(dpi, exif=exif, quality=60)


def photographed(dpi: int, chance: Random, page: Image.Image | None = None) -> bytes:
    """With a camera's grain and shade."""
    page = page or certificate().resize((800, 1131))
    grain = Image.frombytes("L", page.size, chance.randbytes(page.width * page.height)).convert("RGB")
    shade = Image.linear_gradient("L").resize(page.size).convert("RGB")
    return scan(dpi, page=Image.blend(Image.blend(page, grain, 0.08), shade, 0.25), quality=50)


def on_paper(draw: Callable[[ImageDraw.ImageDraw, float], None], dpi: int, chance: Random) -> bytes:
    """Grainy paper with a drawing; `draw` gets the dots per millimetre."""
    page = Image.new("RGB", pixels(dpi), (246, 244, 238))
    draw(ImageDraw.Draw(page), dpi / 25.4)
    grain = Image.frombytes("L", page.size, chance.randbytes(page.width * page.height)).convert("RGB")
    return scan(dpi, page=Image.blend(page, grain, 0.03), quality=60)


def stamped(dpi: int, chance: Random) -> bytes:
    """One stamp only, pale or fresh, of 15 to 42 mm."""
    shade, radius = chance.choice([(200, 40, 40), (240, 205, 200)]), chance.uniform(7.5, 21)
    return on_paper(
        lambda pen, mm: pen.ellipse(
            ((100 - radius) * mm, (180 - radius) * mm, (100 + radius) * mm, (180 + radius) * mm),
            outline=shade, width=round(1.2 * mm),
        ),
        dpi, chance,
    )  # fmt: skip


def pencilled(dpi: int, chance: Random) -> bytes:
    """A few words in pencil."""

    def draw(pen: ImageDraw.ImageDraw, mm: float) -> None:
        for word in range(chance.randrange(2, 8)):
            at = 30 + 18 * word
            box = (at * mm, 60 * mm, (at + 8) * mm, 68 * mm)
            pen.rectangle(box, outline=(205, 205, 203), width=max(1, round(0.5 * mm)))
            pen.line(
                ((at + 4) * mm, 60 * mm, (at + 4) * mm, 68 * mm), fill=(205, 205, 203), width=max(1, round(0.5 * mm))
            )

    return on_paper(draw, dpi, chance)


def pale(dpi: int, chance: Random) -> bytes:
    """A certificate copied with a tenth of its contrast."""
    page = certificate(chance.randrange(2, 50))
    return scan(dpi, page=Image.blend(Image.new("RGB", page.size, (246, 246, 246)), page, 0.1), quality=60)


def blank(count: int, chance: Random) -> Iterator[bytes]:
    """Blank: paper with grain, shadow and uneven light, one colour, a covered lens."""

    def paper(colour: tuple[int, int, int], grain: float, shade: float, dpi: int, quality: int) -> bytes:
        page = Image.new("RGB", pixels(dpi), colour)
        noise = Image.frombytes("L", page.size, chance.randbytes(page.width * page.height)).convert("RGB")
        falling = chance.choice([Image.linear_gradient("L"), ImageChops.invert(Image.radial_gradient("L"))])
        light = falling.resize(page.size).convert("RGB").rotate(chance.choice([0, 180]))
        return scan(dpi, page=Image.blend(Image.blend(page, light, shade), noise, grain), quality=quality)

    white = (246, 244, 238)
    kinds: list[Callable[[int], bytes]] = [
        lambda dpi: paper(white, 0.04, 0, dpi, 75),
        lambda dpi: paper(white, 0.1, 0, dpi, 60),
        lambda dpi: paper(white, 0.04, 0.4, dpi, 60),
        lambda dpi: paper(white, 0, 0.4, dpi, 40),
        lambda dpi: scan(dpi, page=Image.new("RGB", pixels(dpi), tuple(chance.choices(range(256), k=3)))),
        lambda dpi: paper((6, 5, 8), 0.04, 0, dpi, 60),
        lambda dpi: paper((0, 0, 0), 0, 0, dpi, 75),
        lambda dpi: photographed(dpi, chance, Image.new("RGB", (800, 1131), white)),
    ]
    yield from (kinds[number % len(kinds)](chance.randrange(72, 101)) for number in range(count))


def good(count: int, chance: Random) -> Iterator[bytes]:
    """Allowed files as scanners, phones and programs save them, at allowed densities."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kinds: list[Callable[[int], bytes]] = [
        lambda dpi: scan(dpi, quality=chance.randrange(40, 76)),
        lambda dpi: scan(dpi, quality=60, progressive=True, optimize=True),
        lambda dpi: scan(dpi, quality=60, subsampling=0),
        lambda dpi: scan(dpi, quality=60, restart_marker_rows=chance.randrange(1, 9)),
        lambda dpi: scan(dpi, quality=60, icc_profile=profile, comment=MARK, xmp=MARK * 9),
        lambda dpi: scan(dpi, quality=60) + b"PK\x03\x04" + MARK * chance.randrange(1, 99),
        lambda dpi: padded(scan(dpi, quality=50), chance.randrange(250_000, LIMIT)),
        lambda dpi: scan(dpi, quality=60, paper=(297, 210)),
        lambda dpi: resaved("L", dpi),
        lambda _: resaved("CMYK", 72, quality=40),
        lambda dpi: turned(chance.randrange(1, 9), dpi),
        lambda dpi: photographed(dpi, chance),
        lambda dpi: stamped(dpi, chance),
        lambda dpi: pencilled(dpi, chance),
        lambda dpi: pale(dpi, chance),
        lambda dpi: scan(dpi, dark=chance.uniform(0.15, 0.4), quality=60),
        lambda dpi: scan(dpi, blur=chance.uniform(1, 5), quality=60),
    ]
    yield from (kinds[number % len(kinds)](chance.randrange(72, 101)) for number in range(count))


def segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment, in order; fails on bytes outside of segments."""
    at = 0
    while at < len(jpeg):
        assert jpeg[at] == 0xFF, f"a stray byte at {at} of {len(jpeg)}"
        marker = jpeg[at + 1]
        alone = marker in (0xD8, 0xD9)
        end = at + 2 if alone else at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        yield marker, jpeg[at + 2 if alone else at + 4 : end]
        at = _end_of_image_data(jpeg, end) if marker == 0xDA else end


def _end_of_image_data(jpeg: bytes, at: int) -> int:
    """Coded data end at the first marker that is neither a stuffed 0xFF nor a restart."""
    while jpeg[at] != 0xFF or jpeg[at + 1] == 0 or 0xD0 <= jpeg[at + 1] <= 0xD7:
        at += 1
    return at
