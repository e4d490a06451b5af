"""Untrusted images: checked before they are decoded, decoded in a sandbox.

The only importer of Pillow, which is loaded in the sandbox only.
"""

import math
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from io import BytesIO
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from kit.sandbox.pool import Sandbox, TooCostly

if TYPE_CHECKING:
    from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat
    from PIL.Image import SupportsArrayInterface

BEGINNING = b"\xff\xd8\xff"
MAX_PIXELS = 25_000_000
PHOTO_PIXELS = 64_000_000
"""Of a photo as JPEG, of which only the reduced pixels are decoded: phones take 48 to 50 million, and some more."""
# markers: frame headers, which hold the size; markers without a length; start of scan and end of image
FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
BARE = {0x01, *range(0xD0, 0xD9)}
LAST = {0xD9, 0xDA}
CM_PER_INCH = 2.54
JFIF_END = 20
"""Bytes to the end of the JFIF header that a file begins with."""
# EXIF: resolution along both sides, and its unit (2: inch, 3: cm)
X_RESOLUTION = 0x011A
Y_RESOLUTION = 0x011B
RESOLUTION_UNIT = 0x0128
MAX_SIDE, THUMBNAIL = 1_800, 240
ROW = 4  # every fourth row is measured: enough for a page
# Ink is measured in the points of a small picture: the reach around a point, a field's side, the steps of a level.
AROUND = 4
FIELD = 8
FINE = 8
P = ParamSpec("P")
T = TypeVar("T")
Fault = Literal["not_jpeg", "damaged", "too_many_pixels", "too_costly"]
Format = Literal["jpeg", "png", "webp", "heic", "pdf"]
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brands of the photos that iPhones take (ISO/IEC 23008-12)."""


class BadImage(ValueError):
    """The image cannot be processed; a retry does not help. `code`: the cause."""

    def __init__(self, code: Fault) -> None:
        super().__init__(code)
        self.code: Fault = code


@dataclass(frozen=True)
class Size:
    """Width and height, in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Density:
    """Dots per inch along both sides; `room`: the rounding error, as files store whole dots per inch or cm."""

    across: float
    down: float
    room: float


@dataclass(frozen=True)
class Scan:
    """Measures of a scan that decodes completely, and clean pictures of it.

    `density`: None if the file has none. `brightness` (mean) and `contrast` (standard deviation) are of 255;
    `sharpness` is the steepest edge as a share of the picture's range. `ink` is how much the picture differs from its
    surroundings where it does so most, `grain` where it does so least, in levels of 255 (`_ink`).
    """

    size: Size
    density: Density | None
    brightness: float
    contrast: float
    sharpness: float
    ink: float
    grain: float
    image: bytes
    thumbnail: bytes


def prepare() -> None:
    """Import Pillow: the first step of each process of a sandbox for images."""
    global Image, ImageChops, ImageFilter, ImageOps, ImageStat
    from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat

    Image.preinit()


def is_jpeg(content: bytes) -> bool:
    """Whether a file begins as a JPEG does; nothing is decoded."""
    return content.startswith(BEGINNING)


def format_of(content: bytes) -> Format | None:
    """The format of a file by its first bytes; None for others. Nothing is decoded."""
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        return "heic"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    beginnings: dict[bytes, Format] = {BEGINNING: "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"%PDF-": "pdf"}
    return next((name for beginning, name in beginnings.items() if content.startswith(beginning)), None)


def jfif_density(jpeg: bytes) -> "Density | None":
    """The density in a JPEG's JFIF header, if it begins with one that has it; nothing is decoded."""
    unit = jpeg[13:14]
    if jpeg[6:11] != b"JFIF\0" or unit not in (b"\1", b"\2") or len(jpeg) < JFIF_END:
        return None
    return _plausible(struct.unpack_from(">HH", jpeg, 14), in_cm=unit == b"\2")


def probe(jpeg: bytes, most_pixels: int = MAX_PIXELS) -> Size:
    """The size in a JPEG's header; nothing is decoded. Raises `BadImage`."""
    if not is_jpeg(jpeg):
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
    """Re-encodes untrusted images."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def reencode(self, jpeg: bytes, longest: int, quality: int = 85) -> bytes:
        """The same picture, re-encoded as JPEG: upright, no side over `longest` pixels, without metadata.

        Raises `BadImage`, `Unavailable`.
        """
        return await sandboxed(self._sandbox, reencode, jpeg, longest, quality)

    async def scan(self, jpeg: bytes) -> Scan:
        """Measure a scan and make clean pictures of it. Raises as `reencode`."""
        return await sandboxed(self._sandbox, scan, jpeg)


async def sandboxed(sandbox: Sandbox, work: Callable[..., T], jpeg: bytes, *more: object) -> T:
    """The result of `work` (module-level, `blamed`) for the picture and `more`. Raises as `Images.reencode`."""
    probe(jpeg)
    return await unprobed(sandbox, work, jpeg, *more)


async def unprobed(sandbox: Sandbox, work: Callable[..., T], image: bytes, *more: object) -> T:
    """`sandboxed` for an image of any format and size, which `work` has to limit."""
    try:
        return await sandbox.run(work, image, *more)
    except TooCostly as error:
        raise BadImage("too_costly") from error


def blamed(work: Callable[P, T]) -> Callable[P, T]:
    """Turn every error in the sandbox into `BadImage`."""

    @wraps(work)
    def blaming(*args: P.args, **kwargs: P.kwargs) -> T:
        prepare()
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            return work(*args, **kwargs)
        except BadImage:
            raise
        except MemoryError:
            raise BadImage("too_costly") from None
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise BadImage("too_many_pixels") from None
        except Exception:  # Pillow has no common error for damaged files
            raise BadImage("damaged") from None

    return blaming


def decoded(jpeg: bytes, most_pixels: int) -> "Image.Image":
    """The picture in RGB, not rotated, halved until it has at most `most_pixels`: for the sandbox."""
    with Image.open(BytesIO(jpeg), formats=("JPEG",)) as picture:
        width, height = picture.size
        while width * height > most_pixels:
            width, height = width // 2, height // 2
        picture.draft("RGB", (width, height))
        picture.load()
        return picture if picture.mode == "RGB" else picture.convert("RGB")  # a copy takes as much memory again


def photo(content: bytes, most_pixels: int) -> "tuple[Image.Image, Density | None]":
    """A JPEG, PNG or WebP in RGB, upright, on white, halved until it has at most `most_pixels`: for the sandbox.

    The density is that of the reduced picture. Raises `BadImage` for a JPEG of more than `PHOTO_PIXELS`, and for
    another format, which is decoded whole, of more than `MAX_PIXELS`.
    """
    Image.MAX_IMAGE_PIXELS = PHOTO_PIXELS if is_jpeg(content) else MAX_PIXELS
    with Image.open(BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as picture:
        width, density = picture.width, _density(picture)
        _halve(picture, most_pixels)
        scale = picture.width / width
        ImageOps.exif_transpose(picture, in_place=True)
        held = density and Density(density.across * scale, density.down * scale, density.room)
        return _on_white(picture), held


def _halve(picture: "Image.Image", most_pixels: int) -> None:
    """Reduce a picture; only a JPEG is not decoded whole for it."""
    width, height = picture.size
    while width * height > most_pixels:
        width, height = width // 2, height // 2
    picture.draft("RGB", (width, height))
    if picture.width * picture.height > most_pixels:
        picture.thumbnail((width, height), Image.Resampling.BOX)


def _on_white(picture: "Image.Image") -> "Image.Image":
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layers = picture.convert("RGBA")
    ground = Image.new("RGB", layers.size, "white")
    ground.paste(layers, mask=layers.getchannel("A"))
    return ground


def jpeg_of(pixels: "SupportsArrayInterface", quality: int, dpi: int) -> bytes:
    """An array (height, width, 3) as JPEG of this density: for the sandbox."""
    made = BytesIO()
    Image.fromarray(pixels).save(made, "JPEG", quality=quality, dpi=(dpi, dpi), optimize=True)
    return made.getvalue()


@blamed
def reencode(jpeg: bytes, longest: int, quality: int) -> bytes:
    """Runs in the sandbox for `Images.reencode`."""
    with Image.open(BytesIO(jpeg), formats=("JPEG",)) as picture:
        return _clean(_upright(picture, longest), longest, quality)


@blamed
def scan(jpeg: bytes) -> Scan:
    """Runs in the sandbox for `Images.scan`."""
    with Image.open(BytesIO(jpeg), formats=("JPEG",)) as picture:
        size, density = Size(*picture.size), _density(picture)
        upright = _upright(picture, MAX_SIDE)
    grey = upright.resize((upright.width, -(-upright.height // ROW)), Image.Resampling.NEAREST).convert("L")
    shades = grey.histogram()
    seen, sharpness = ImageStat.Stat(shades), _sharpness(grey, shades)
    small = upright.reduce(max(1, max(upright.size) // THUMBNAIL))
    image, (ink, grain) = _clean(upright, MAX_SIDE, 85), _ink(small)
    thumbnail = _clean(small, THUMBNAIL, 80)
    return Scan(size, density, seen.mean[0], seen.stddev[0], sharpness, ink, grain, image, thumbnail)


def _upright(picture: "Image.Image", longest: int) -> "Image.Image":
    picture.draft("RGB", (longest, longest))
    ImageOps.exif_transpose(picture, in_place=True)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _density(picture: "Image.Image") -> Density | None:
    """From JFIF, otherwise from EXIF; Pillow's own value is 72 if EXIF has none."""
    unit = picture.info.get("jfif_unit")
    if unit in (1, 2):
        return _plausible(picture.info["jfif_density"], in_cm=unit == 2)
    exif = picture.getexif()
    if X_RESOLUTION not in exif or Y_RESOLUTION not in exif:
        return None
    return _plausible([exif[X_RESOLUTION], exif[Y_RESOLUTION]], in_cm=exif.get(RESOLUTION_UNIT) == 3)


def _plausible(dots: Sequence[float], *, in_cm: bool) -> Density | None:
    inch = CM_PER_INCH if in_cm else 1.0
    across, down = (float(each) * inch for each in dots)
    known = all(math.isfinite(each) and each > 0 for each in (across, down))
    return Density(across, down, inch / 2) if known else None


def _sharpness(grey: "Image.Image", shades: Sequence[int]) -> float:
    """The steepest steps from left to right (one pixel in a thousand) as a share of the picture's range."""
    width, height = grey.size
    steps = ImageChops.difference(grey.crop((0, 0, width - 1, height)), grey.crop((1, 0, width, height)))
    scope = _level(shades, 0.9995) - _level(shades, 0.0005)
    return _level(steps.histogram(), 0.999) / scope if scope else 0.0


def _ink(small: "Image.Image") -> tuple[float, float]:
    """The mean difference of a field's points from their surroundings: in the strongest fields, in the calmest ones.

    The picture was reduced by averaging, which removes grain and the blocks of compression; the mean of the
    surroundings removes light and shadow; the margin is left out, because scanners show their edge there. Of 8×8 fields
    one in 200 is stronger than the first number, one in ten calmer than the second.
    """
    grey = small.convert("L")
    margin = min(2 * AROUND, (min(grey.size) - 1) // 2)
    inside = (margin, margin, grey.width - margin, grey.height - margin)
    apart = ImageChops.difference(grey, grey.filter(ImageFilter.BoxBlur(AROUND))).crop(inside)
    fields = apart.point([min(255, level * FINE) for level in range(256)]).reduce(FIELD).histogram()
    return _level(fields, 0.995) / FINE, _level(fields, 0.1) / FINE


def _level(histogram: Sequence[int], share: float) -> int:
    """The level that this share of the pixels does not exceed."""
    wanted, seen = share * sum(histogram), 0
    for level, count in enumerate(histogram):
        seen += count
        if seen >= wanted:
            return level
    return len(histogram) - 1


def _clean(picture: "Image.Image", longest: int, quality: int) -> bytes:
    picture.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=1.0)
    picture.info.clear()  # comment, profile, position: Pillow would write some of it again
    made = BytesIO()
    picture.save(made, "JPEG", quality=quality)
    return made.getvalue()
