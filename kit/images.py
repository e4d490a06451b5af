"""Pictures from strangers: looked at before anything is decoded, decoded in a sandbox. The only importer of Pillow."""

import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image, ImageOps

from kit.sandbox import Sandbox, TooCostly

BEGINNING = b"\xff\xd8\xff"
MOST_PIXELS = 25_000_000
# markers: a frame header says the size; those without a length; the scan's begin and the file's end
FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
BARE = {0x01, *range(0xD0, 0xD9)}
LAST = {0xD9, 0xDA}
Fault = Literal["not_jpeg", "damaged", "too_many_pixels", "too_costly"]


class BadImage(ValueError):
    """The picture is at fault, and no retry can mend it; `code` says how."""

    def __init__(self, code: Fault) -> None:
        super().__init__(code)
        self.code: Fault = code


@dataclass(frozen=True)
class Size:
    """In pixels."""

    width: int
    height: int


def probe(jpeg: bytes, most_pixels: int = MOST_PIXELS) -> Size:
    """The size that a JPEG's header tells; nothing is decoded. Raises `BadImage`."""
    if not jpeg.startswith(BEGINNING):
        raise BadImage("not_jpeg")
    size = _size(jpeg)
    if size.width * size.height > most_pixels:
        raise BadImage("too_many_pixels")
    return size


def _size(jpeg: bytes) -> Size:
    at = 2
    while 0 <= (at := jpeg.find(b"\xff", at)) < len(jpeg) - 8:
        marker = jpeg[at + 1]
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", jpeg, at + 5)
            if width and height:
                return Size(width, height)
        if marker in LAST:
            break
        alone = marker in BARE or marker in (0x00, 0xFF)
        at += (2 if marker != 0xFF else 1) if alone else 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    raise BadImage("damaged")


class Images:
    """Makes clean pictures out of what came."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def reencode(self, jpeg: bytes, longest: int, quality: int = 85) -> bytes:
        """The same picture as a JPEG of our own: upright, no side over `longest` pixels, without metadata.

        Raises `BadImage`, and `Unavailable` when the machine can't do it now.
        """
        probe(jpeg)
        try:
            return await self._sandbox.run(reencode, jpeg, longest, quality)
        except TooCostly as error:
            raise BadImage("too_costly") from error


def reencode(jpeg: bytes, longest: int, quality: int) -> bytes:
    """What the sandbox does: whatever goes wrong in there is the picture's fault."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    try:
        with Image.open(BytesIO(jpeg), formats=("JPEG",)) as picture:
            picture.draft("RGB", (longest, longest))
            return _clean(ImageOps.exif_transpose(picture).convert("RGB"), longest, quality)
    except MemoryError:
        raise BadImage("too_costly") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage("too_many_pixels") from None
    except Exception:  # Pillow has no one error for what is damaged
        raise BadImage("damaged") from None


def _clean(picture: Image.Image, longest: int, quality: int) -> bytes:
    picture.thumbnail((longest, longest))
    picture.info.clear()  # comment, profile, position: Pillow would write some of it again
    made = BytesIO()
    picture.save(made, "JPEG", quality=quality)
    return made.getvalue()
