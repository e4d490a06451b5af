"""Reads a printed sheet in a scan or photo: finds its markers, straightens it, reads its code, cuts out a box.

The only importer of cv2, numpy and zxingcpp, which are loaded in the sandbox only.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kit.formats.images import blamed, decoded, sandboxed
from kit.sandbox.pool import Sandbox

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import zxingcpp
    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]
    Floats: TypeAlias = NDArray[np.float32]
    Mask: TypeAlias = NDArray[np.bool_]
    Points: TypeAlias = NDArray[np.float32]
    Map: TypeAlias = NDArray[np.float64]

DPI, MM_PER_INCH = 200, 25.4
PER_MM = DPI / MM_PER_INCH
# pixels that are decoded; long sides in which markers are searched: enough for a page that fills half of the picture
MAX_PIXELS, SEARCH_SIDES = 12_700_000, (1_600, 3_200)
FEWEST_MARKERS = 3
CORNERS = 4
FIELDS = 6
# how far a marker's corner may be from its expected place, because paper isn't flat
STRAY_MM = 1.0
PAGE_QUALITY, BLURRED = 80, 0.32
# in mm: the margin along the printed line, the radius for the background, the blur against grain
INSET = 1.5
GROUND = 6.0
GRAIN = 0.12
# darkness against the background, 0 to 1: a stroke begins at the strong and continues to the weak threshold;
# each is at least so many times the noise
STRONG = 0.13
WEAK = 0.07
STRONG_NOISE = 7.0
WEAK_NOISE = 4.0
# a fold is a straight line of at least this many mm, and at most this dark
CREASE, CREASE_DARK = 18.0, 0.25
# in mm: strokes and dots are at least this long, and a dot belongs to the writing this near to a stroke
STROKE = 3.0
DOT = 0.6
NEAR = 4.0
# in mm: ink this near to the inset's edge touches it; the seam around a stroke that may be half transparent
BORDER, SEAM = 1.0, 0.35


@dataclass(frozen=True)
class Box:
    """Millimetres from the sheet's top left."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """What is printed where: the sheet's size in mm, its ArUco markers (4x4_50, id → box), the box that is cut out."""

    width: float
    height: float
    markers: Mapping[int, Box]
    cut: Box


@dataclass(frozen=True)
class CutBox:
    """The box that was cut out, and measures of the ink in it.

    `image`: a PNG of the whole box at 200 dpi, only the ink on a transparent background. `ink_mm2`: the inked area;
    `extent_mm`: its diagonal; `touches_border`: the ink reaches the edge of the box.
    """

    image: bytes
    ink_mm2: float
    extent_mm: float
    touches_border: bool


@dataclass(frozen=True)
class ScannedSheet:
    """What was read; each is None if it could not be read.

    `text`: of the QR code. `page`: a JPEG of the straightened page, at 200 dpi or the picture's resolution if that is
    lower; it and the `cut` need three markers.
    """

    text: str | None
    page: bytes | None
    cut: CutBox | None


class SheetReader:
    """Reads printed sheets in untrusted scans and photos."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def read(self, jpeg: bytes, layout: Layout) -> ScannedSheet:
        """Read the sheet. Raises `BadImage`, `Unavailable`."""
        return await sandboxed(self._sandbox, read, jpeg, layout)


@blamed
def read(jpeg: bytes, layout: Layout) -> ScannedSheet:
    """Runs in the sandbox for `SheetReader.read`."""
    _load()
    picture = np.asarray(decoded(jpeg, MAX_PIXELS))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    place = _found(grey, layout)
    if place is None:
        return ScannedSheet(_text(grey), None, None)
    picture, place = _shrunk(picture, place, layout)
    page = _warped(picture, place, Box(0, 0, layout.width, layout.height))
    text = _text(_sharpened(cv2.cvtColor(page, cv2.COLOR_RGB2GRAY))) or _text(grey)
    return ScannedSheet(text, _jpeg(page, _per_mm(place, layout) / PER_MM), _cut(_warped(picture, place, layout.cut)))


def _load() -> None:
    """Import the libraries, without threads: each would reserve memory, of which a sandbox process has little."""
    global cv2, np, zxingcpp
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import cv2
    import numpy as np
    import zxingcpp

    cv2.setNumThreads(1)


def _text(grey: "Pixels") -> str | None:
    codes = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    return next((code.text for code in codes), None)


def _sharpened(grey: "Pixels") -> "Pixels":
    """Sharpen, so that a blurred code with modules of two pixels can be read."""
    return cv2.addWeighted(grey, 2, cv2.GaussianBlur(grey, None, BLURRED * PER_MM), -1, 0)


def _found(grey: "Pixels", layout: Layout) -> "Map | None":
    """The transformation from the sheet's millimetres to the picture's pixels."""
    best, most = None, FEWEST_MARKERS - 1
    for longest in SEARCH_SIDES:
        place, markers = _fitted(_seen(grey, longest), layout)
        if markers > most:
            best, most = place, markers
        if most == len(layout.markers):
            break
    return best


def _seen(grey: "Pixels", longest: int) -> "list[tuple[int, Points]]":
    """The markers in the picture, with their corners from the top left; searched in a smaller copy."""
    scale = min(1.0, longest / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    dictionary, closer = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50), cv2.aruco.DetectorParameters()
    closer.perspectiveRemovePixelPerCell = 8  # twice the default: distinguishes small blurred markers
    corners, ids, _ = cv2.aruco.ArucoDetector(dictionary, closer).detectMarkers(small)
    if ids is None:
        return []
    return [
        (int(id_), _refined(grey, found.reshape(CORNERS, 2) / scale))
        for id_, found in zip(ids.flat, corners, strict=True)
    ]


def _refined(grey: "Pixels", corners: "Points") -> "Points":
    """The corners to a tenth of a pixel: where the lines along the four sides cross."""
    sides = [_edge(grey, *ends) for ends in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    crossings = np.array([np.cross(before, side) for before, side in zip(sides[-1:] + sides, sides, strict=False)])
    return (crossings[:, :2] / crossings[:, 2:]).astype(np.float32)


def _edge(grey: "Pixels", start: "Points", end: "Points") -> "Map":
    """The line where black turns to white near the way from `start` to `end`, with black on its right side."""
    long = float(np.hypot(*(end - start)))
    ahead = (end - start) / long
    outward = np.array((ahead[1], -ahead[0]))
    reach = long / FIELDS * 0.8  # further in there is the marker's pattern
    along, across = np.linspace(0.12, 0.88, 24) * long, np.arange(-reach, reach, 0.25)
    x, y = np.moveaxis(start + along[:, None, None] * ahead + across[:, None] * outward, 2, 0).astype(np.float32)
    steps = np.gradient(cv2.GaussianBlur(cv2.remap(grey, x, y, cv2.INTER_LINEAR).astype(np.float64), None, 1.5), axis=1)
    weights = np.clip(steps, 0, None) ** 2 + 1e-9
    where = (weights * across).sum(axis=1) / weights.sum(axis=1)
    points = start + along[:, None] * ahead + where[:, None] * outward
    to_x, to_y, from_x, from_y = cv2.fitLine(points.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
    return np.cross((from_x, from_y, 1.0), (from_x + to_x, from_y + to_y, 1.0))


def _fitted(seen: "list[tuple[int, Points]]", layout: Layout) -> "tuple[Map | None, int]":
    """The transformation on which most markers agree, and their number; wrong and foreign markers are outliers."""
    ours = [(id_, corners) for id_, corners in seen if id_ in layout.markers]
    if len(ours) < FEWEST_MARKERS:
        return None, 0
    there = np.concatenate([corners for _, corners in ours])
    printed = np.concatenate([_outline(layout.markers[id_]) for id_, _ in ours])
    to_mm, fits = cv2.findHomography(there, printed, cv2.RANSAC, STRAY_MM)
    if to_mm is None:
        return None, 0
    place = np.linalg.inv(to_mm)
    whole = {id_ for (id_, _), fit in zip(ours, fits.reshape(-1, CORNERS), strict=True) if fit.all()}
    return (place, len(whole)) if _plausible(place, layout) else (None, 0)


def _outline(box: Box) -> "Points":
    right, bottom = box.left + box.width, box.top + box.height
    return np.array([(box.left, box.top), (right, box.top), (right, bottom), (box.left, bottom)], np.float32)


def _lies(place: "Map", layout: Layout) -> "Points":
    """The sheet's outline in the picture."""
    return cv2.perspectiveTransform(_outline(Box(0, 0, layout.width, layout.height))[None], place)[0]


def _plausible(place: "Map", layout: Layout) -> bool:
    """Whether the sheet is seen from its front, and not across the horizon."""
    lies = _lies(place, layout)
    return cv2.isContourConvex(lies) and cv2.contourArea(lies, oriented=True) > 0


def _per_mm(place: "Map", layout: Layout) -> float:
    """The picture's pixels for a millimetre of the sheet."""
    return float(np.sqrt(cv2.contourArea(_lies(place, layout)) / (layout.width * layout.height)))


def _shrunk(picture: "Pixels", place: "Map", layout: Layout) -> "tuple[Pixels, Map]":
    """Reduce a picture with more than 200 dpi: warping alone would skip most of its pixels."""
    scale = PER_MM / _per_mm(place, layout)
    if scale >= 1:
        return picture, place
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small, np.diag((scale, scale, 1.0)) @ place


def _warped(picture: "Pixels", place: "Map", box: Box) -> "Pixels":
    """A part of the sheet, straightened, at 200 dpi; white outside of the picture."""
    from_pixels = np.array([(1 / PER_MM, 0, box.left), (0, 1 / PER_MM, box.top), (0, 0, 1)])
    size, how = (round(box.width * PER_MM), round(box.height * PER_MM)), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(picture, place @ from_pixels, size, flags=how, borderValue=(255, 255, 255))


def _jpeg(page: "Pixels", held: float) -> bytes:
    """The page at the picture's resolution, if that is lower."""
    if held < 1:
        page = cv2.resize(page, None, fx=held, fy=held, interpolation=cv2.INTER_AREA)
    _, made = cv2.imencode(".jpg", cv2.cvtColor(page, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, PAGE_QUALITY))
    return made.tobytes()


def _cut(box: "Pixels") -> CutBox:
    levelled = _levelled(box)
    ink = _ink(levelled)
    return CutBox(_png(levelled, ink), float(ink.sum()) / PER_MM**2, _extent(ink), _touches(ink))


def _levelled(box: "Pixels") -> "Floats":
    """Every channel as a share of the background's: 1 is paper in any light."""
    coarse = 4
    small = cv2.resize(box, None, fx=1 / coarse, fy=1 / coarse, interpolation=cv2.INTER_AREA)
    wide = _round(GROUND / coarse)
    ground = cv2.medianBlur(cv2.morphologyEx(small, cv2.MORPH_CLOSE, wide), 2 * int(GROUND * PER_MM / coarse / 4) + 1)
    ground = cv2.resize(ground, box.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)
    share = box / np.maximum(ground, 1)
    return share / np.median(share[_inner(share, INSET)], axis=0)


def _ink(levelled: "Floats") -> "Mask":
    """Strokes and the dots near them, without dust, grain, shadows and the printed line."""
    dark = 1 - cv2.GaussianBlur(cv2.cvtColor(levelled, cv2.COLOR_RGB2GRAY), None, GRAIN * PER_MM)
    dark = dark - _creases(dark)
    inner = _inner(dark, INSET)
    noise = 1.48 * float(np.median(np.abs(dark[inner])))
    strong, weak = dark > max(STRONG, STRONG_NOISE * noise), (dark > max(WEAK, WEAK_NOISE * noise)) & inner
    _, labels, stats, _ = cv2.connectedComponentsWithStats(weak.astype(np.uint8))
    long = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) / PER_MM
    real = np.isin(np.arange(len(stats)), np.unique(labels[strong & weak]))
    real[0] = False
    strokes = (real & (long > STROKE))[labels]
    around = _grown(strokes, NEAR)
    dots = np.isin(np.arange(len(stats)), np.unique(labels[around])) & real & (long > DOT)
    return strokes | dots[labels]


def _creases(dark: "Floats") -> "Floats":
    """The darkness of folds: straight lines along the page's sides, longer than a hand draws them."""
    long = round(CREASE * PER_MM)
    lines = [cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones(shape, np.uint8)) for shape in ((1, long), (long, 1))]
    return np.clip(np.maximum(*lines), 0, CREASE_DARK)


def _png(levelled: "Floats", ink: "Mask") -> bytes:
    """The ink in its colour, more transparent where it is lighter: on white it looks as on the paper."""
    share = np.clip(levelled, 0, 1)
    alpha = np.clip((1 - share.min(axis=2) - WEAK / 2) * 1.5, 0, 1) * _grown(ink, SEAM)
    colour = 1 - (1 - share) / np.maximum(alpha, 1 / 255)[:, :, None]
    made = np.dstack((np.clip(colour, 0, 1)[:, :, ::-1], alpha))
    made[alpha == 0] = 0
    _, png = cv2.imencode(".png", np.rint(made * 255).astype(np.uint8), (cv2.IMWRITE_PNG_COMPRESSION, 6))
    return png.tobytes()


def _extent(ink: "Mask") -> float:
    _, _, width, height = cv2.boundingRect(ink.astype(np.uint8))
    return float(np.hypot(width, height)) / PER_MM


def _touches(ink: "Mask") -> bool:
    return bool((ink & ~_inner(ink, INSET + BORDER)).any())


def _inner(picture: "NDArray[np.generic]", inset: float) -> "Mask":
    """The points further than `inset` mm from the picture's edge."""
    inner, edge = np.zeros(picture.shape[:2], np.bool_), round(inset * PER_MM)
    inner[edge:-edge, edge:-edge] = True
    return inner


def _grown(mask: "Mask", by: float) -> "Mask":
    return cv2.dilate(mask.astype(np.uint8), _round(2 * by)).astype(np.bool_)


def _round(across: float) -> "Pixels":
    """A disc as structuring element, `across` in mm."""
    side = 2 * int(across * PER_MM / 2) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
