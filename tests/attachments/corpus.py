"""Hostile files, all made here: mutated, cut off, glued together, bombs, other formats under a JPEG's name."""

import struct
import zipfile
from collections.abc import Iterator
from io import BytesIO
from random import Random

from PIL import Image

from tests.support.scans import certificate, scan

MARK = b"<script>alert('planted')</script>"


def mutated(count: int, chance: Random) -> Iterator[bytes]:
    """Bytes changed, taken out or doubled, anywhere behind the first three."""
    seeds = [scan(72), scan(72, quality=30), scan(100, quality=40, progressive=True), scan(72, comment=MARK * 9)]
    for number in range(count):
        content = bytearray(seeds[number % len(seeds)])
        header = number % 2 == 0  # half of them where it hurts most
        for _ in range(chance.randrange(1, 20)):
            at = chance.randrange(3, 700 if header else len(content))
            content[at] = chance.choice((0x00, 0xFF, chance.randrange(256)))
        if number % 5 == 0:
            start = chance.randrange(3, len(content))
            del content[start : start + chance.randrange(1, 400)]
        if number % 7 == 0:
            start = chance.randrange(3, len(content) - 500)
            content[start:start] = content[start : start + 400]
        yield bytes(content)


def cut_off(count: int, chance: Random) -> Iterator[bytes]:
    content = scan(72)
    yield from (content[: chance.randrange(3, len(content))] for _ in range(count))


def claiming(content: bytes, width: int, height: int) -> bytes:
    """The same file, whose frame header says another size."""
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
    """A small progressive file that is worked through for each of its scans, which are one and the same."""
    made = BytesIO()
    Image.new("L", (size, size), 200).save(made, "JPEG", progressive=True, quality=50)
    content = made.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * times + content[-2:]


def polyglots() -> Iterator[bytes]:
    """A JPEG that is something else too: for whoever looks at its end, its middle, or its name."""
    content, archive = scan(72), BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("evil.html", MARK)
    yield content + archive.getvalue()
    yield content + b"<?php system($_GET[0]); ?>" + MARK
    yield content + b"%PDF-1.7\n1 0 obj<</JS(app.alert(1))>>endobj" + MARK
    yield content + content
    for behind in (MARK, b"%PDF-1.7\n" + MARK, b"GIF89a" + MARK):
        yield content[:2] + b"\xff\xfe" + struct.pack(">H", len(behind) + 2) + behind + content[2:]
    yield scan(72, icc_profile=MARK * 99, xmp=MARK * 9, comment=MARK)


def other_formats() -> Iterator[bytes]:
    small = certificate().resize((200, 280))
    for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "PDF"):
        made = BytesIO()
        small.save(made, kind)
        yield made.getvalue()
    yield from (MARK, b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xfe" + scan(72)[3:], b"MZ" + bytes(200), b"\x7fELF" * 9)


def pretending() -> Iterator[bytes]:
    """The first three bytes of a JPEG, and nothing else of one."""
    begin = b"\xff\xd8\xff"
    yield from (begin, begin + b"\xd9", begin + MARK * 99, begin + b"\xe0\x00\x00" * 999, begin + b"\xff" * 99_999)
    yield from (begin + b"\xda" + bytes(999), begin + b"\xc0" + bytes(999), begin + b"\xfe\x00\x02" * 60_000)


def hostile(mutations: int, chance: Random) -> Iterator[bytes]:
    """All of them, each below the limit; `many_scans` apart."""
    everything = [
        *mutated(mutations, chance), *cut_off(mutations // 5, chance), *bombs(), *polyglots(), *other_formats(),
        *pretending(),
    ]  # fmt: skip
    yield from (content for content in everything if len(content) < 300 * 1024)
