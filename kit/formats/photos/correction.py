"""Makes a scan of a photo: JPEG, PNG or WebP in, a JPEG of the asked density and size out.

numpy and cv2 are loaded in the sandbox only.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.formats.images import BadImage, blamed, jpeg_of, photo, unprobed
from kit.sandbox.pool import Sandbox

if TYPE_CHECKING:
    import cv2
    import numpy as np

    from kit.formats.photos import finder, light
    from kit.formats.photos.edges import Floats, Pixels

MAX_PIXELS = 12_700_000
"""Of what is decoded: more make the scan no better."""
CERTAIN = 0.5
"""Confidence from which a sheet that was found is cut out without asking."""
SMALLEST = 64
"""Pixels of a side in which a sheet could be found and read."""
MM_PER_INCH = 25.4
A4, A3, CARD = (297.0, 210.0), (420 * 1.05, 297 * 1.05), 80.0
"""In mm: the paper that is assumed if its size is unknown; the largest paper, with a margin; a card's long side."""
QUALITIES = (90, 80, 70, 60, 50)
LOWEST_QUALITIES = (40, 30)
"""If the density is already the lowest."""
SMALLER_DPI = 85


@dataclass(frozen=True)
class ScanLimits:
    """What a scan has to be: less than `limit_bytes`, `least_dpi` to `most_dpi`."""

    limit_bytes: int
    least_dpi: int
    most_dpi: int


@dataclass(frozen=True)
class Correction:
    """A JPEG within the limits, with its density in the JFIF header.

    `cropped`: the sheet was found with certainty, cut out and straightened. Otherwise the whole photo was resized.
    """

    image: bytes
    width: int
    height: int
    dpi: int
    cropped: bool


class Photos:
    """Makes scans of untrusted photos."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def correct(self, content: bytes, limits: ScanLimits) -> Correction:
        """Make a scan. Raises `BadImage`, `Unavailable`."""
        return await unprobed(self._sandbox, correct, content, limits)


@blamed
def correct(content: bytes, limits: ScanLimits) -> Correction:
    """Runs in the sandbox for `Photos.correct`."""
    _load()
    picture, density = photo(content, MAX_PIXELS)
    paper = (picture.width / density.across, picture.height / density.down) if density else None
    pixels = np.asarray(picture)
    if paper and _is_plausible(paper):  # of a scanner: nothing is cut out of its page
        return _resized(pixels, paper, limits)
    sheet = finder.find_sheet(pixels) if min(picture.size) >= SMALLEST else None
    if sheet is None or sheet.confidence < CERTAIN:
        return _resized(pixels, _as_a4(picture.width, picture.height), limits)
    return _cut_out(pixels, sheet.corners, limits)


def _load() -> None:
    """Import the libraries, without threads: each would reserve memory, of which a sandbox process has little."""
    global cv2, np, finder, light
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import cv2
    import numpy as np

    from kit.formats.photos import finder, light

    cv2.setNumThreads(1)


def _is_plausible(paper: tuple[float, float]) -> bool:
    """Whether paper of this size, in inches, is one between a card and A3: phones write 72 dpi into every photo."""
    long, short = sorted((side * MM_PER_INCH for side in paper), reverse=True)
    return CARD <= long <= A3[0] and short <= A3[1]


def _as_a4(width: float, height: float) -> tuple[float, float]:
    """The sides in inches of the largest picture of this shape on A4, upright or not."""
    scale = min(A4[0] / max(width, height), A4[1] / min(width, height)) / MM_PER_INCH
    return width * scale, height * scale


def _resized(pixels: "Pixels", inches: tuple[float, float], limits: ScanLimits) -> Correction:
    """The whole picture."""
    made = (
        (dpi, cv2.resize(pixels, _size(inches, dpi), interpolation=cv2.INTER_AREA))
        for dpi in _densities(pixels.shape[1] / inches[0], pixels.shape[0] / inches[1], limits)
    )
    return _encoded(made, limits, cropped=False)


def _cut_out(pixels: "Pixels", corners: "Floats", limits: ScanLimits) -> Correction:
    """The sheet, enlarged to A4 if it is smaller: else its text had too few pixels."""
    inches = _as_a4(*finder.sheet_size(corners, pixels.shape[1], pixels.shape[0]))
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    across, down = float(max(sides[0], sides[2])), float(max(sides[1], sides[3]))
    made = (
        (dpi, light.whiten(finder.straighten(pixels, corners, *_size(inches, dpi))))
        for dpi in _densities(across / inches[0], down / inches[1], limits)
    )
    return _encoded(made, limits, cropped=True)


def _size(inches: tuple[float, float], dpi: int) -> tuple[int, int]:
    return max(1, round(inches[0] * dpi)), max(1, round(inches[1] * dpi))


def _densities(across: float, down: float, limits: ScanLimits) -> list[int]:
    """Densities to try, from the finest that the picture has."""
    finest = min(max(round(min(across, down)), limits.least_dpi), limits.most_dpi)
    return sorted({finest, max(limits.least_dpi, min(finest, SMALLER_DPI)), limits.least_dpi}, reverse=True)


def _encoded(made: "Iterator[tuple[int, Pixels]]", limits: ScanLimits, *, cropped: bool) -> Correction:
    """The first of the pictures, in the best quality, that is small enough."""
    for dpi, pixels in made:
        for quality in (*QUALITIES, *(LOWEST_QUALITIES if dpi == limits.least_dpi else ())):
            image = jpeg_of(pixels, quality, dpi)
            if len(image) < limits.limit_bytes:
                return Correction(image, pixels.shape[1], pixels.shape[0], dpi, cropped)
    raise BadImage("too_costly")
