"""Signature sheets for tests: signed with a pen, laid on a desk, photographed badly; all from a seeded `Random`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, pi, radians, sin
from random import Random
from typing import Literal, TypeAlias

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

from kit.formats.sheets import Box, Layout

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Map: TypeAlias = NDArray[np.float64]
Pen = Literal["black", "blue", "red", "pencil", "marker"]

A4 = Layout(
    210,
    297,
    {0: Box(14, 14, 10, 10), 1: Box(186, 14, 10, 10), 2: Box(186, 273, 10, 10), 3: Box(14, 273, 10, 10)},
    Box(35, 90, 140, 60),
)
# ink (blue, green, red), width in mm, how much paper shines through
PENS: dict[Pen, tuple[tuple[int, int, int], float, float]] = {
    "black": ((35, 30, 30), 0.5, 0.05),
    "blue": ((150, 60, 35), 0.4, 0.15),
    "red": ((60, 45, 190), 0.4, 0.15),
    "pencil": ((110, 110, 110), 0.35, 0.35),
    "marker": ((25, 20, 20), 1.6, 0.0),
}
DESKS = ((25, 30, 35), (45, 70, 110), (90, 90, 85), (130, 160, 180), (40, 55, 40))
DUST = 60


@dataclass(frozen=True)
class Truth:
    """How the sheet was photographed: `place` maps its millimetres to the image's pixels."""

    place: Map
    degrees: float
    hidden: int | None
    quality: int
    blur: float


def marker(id_: int) -> list[list[int]]:
    """The 6 × 6 fields of a printed ArUco marker, frame included; 1 is black."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    return [[int(field == 0) for field in row] for row in dictionary.generateImageMarker(id_, 6)]


def drawn(text: str | None, layout: Layout = A4, dpi: int = 200) -> bytes:
    """A plain page as a PNG: markers, box, lines that resemble words, a QR code of 26 mm unless `text` is empty."""
    per_mm = dpi / 25.4
    page = np.full((round(layout.height * per_mm), round(layout.width * per_mm), 3), 255, np.uint8)
    for id_, box in layout.markers.items():
        _stamp(page, 255 - 255 * np.array(marker(id_), np.uint8), box, per_mm)
    if text is not None:
        fields = np.array([list(row) for row in segno.make(text, error="m", micro=False).matrix], np.uint8)
        _stamp(page, 255 - 255 * fields, Box(150, 30, 26, 26), per_mm)
    left, top = round(layout.cut.left * per_mm), round(layout.cut.top * per_mm)
    right, bottom = left + round(layout.cut.width * per_mm), top + round(layout.cut.height * per_mm)
    cv2.rectangle(page, (left, top), (right, bottom), (40, 40, 40), round(0.3 * per_mm))
    for line in range(12):
        cv2.putText(
            page, "Instructions " * 5, (left, bottom + 90 + 60 * line), cv2.FONT_HERSHEY_PLAIN, 2, (20, 20, 20), 2
        )
    return png(page)


def _stamp(page: Pixels, fields: Pixels, box: Box, per_mm: float) -> None:
    left, top = round(box.left * per_mm), round(box.top * per_mm)
    size = round(box.width * per_mm), round(box.height * per_mm)
    stamp = cv2.resize(fields, size, interpolation=cv2.INTER_NEAREST)
    page[top : top + size[1], left : left + size[0]] = stamp[:, :, None]


def sign(page: bytes, rng: Random, pen: Pen = "blue", layout: Layout = A4, within: Box | None = None) -> bytes:
    """Draws something like a signature into the box, or `within` another area of the sheet."""
    picture = opened(page)
    per_mm = picture.shape[1] / layout.width
    ink, width, through = PENS[pen]
    wet = np.zeros(picture.shape[:2], np.uint8)
    for stroke in _writing(rng, within or _inside(layout.cut, rng)):
        for start, end in pairwise(stroke):
            pressure = width * rng.uniform(0.75, 1.1) * per_mm
            _line(wet, start, end, per_mm, max(1, round(pressure)))
    blurred = cv2.GaussianBlur(wet, None, 0.05 * per_mm)
    left, top, across, down = cv2.boundingRect(blurred)
    written = picture[top : top + down, left : left + across]  # most of the page is unchanged
    cover = (blurred[top : top + down, left : left + across] / 255 * (1 - through))[:, :, None].astype(np.float32)
    if pen == "pencil":
        cover *= _noise(rng, written.shape, 1, 0.25)
    written[:] = np.rint(written * (1 - cover) + np.array(ink, np.float32) * cover).clip(0, 255)
    return png(picture)


def _line(wet: Pixels, start: Sequence[float], end: Sequence[float], per_mm: float, thick: int) -> None:
    (x, y), (to_x, to_y) = ((round(value * per_mm * 16) for value in point) for point in (start, end))
    cv2.line(wet, (x, y), (to_x, to_y), 255, thick, cv2.LINE_AA, 4)


def _inside(box: Box, rng: Random) -> Box:
    """An area for a signature of 40 to 110 mm that does not touch the box's border."""
    width, height = rng.uniform(40, 110), rng.uniform(18, 40)
    free_x, free_y = box.width - width - 12, box.height - height - 12
    return Box(box.left + 6 + rng.uniform(0, free_x), box.top + 6 + rng.uniform(0, free_y), width, height)


def _writing(rng: Random, box: Box) -> list[list[tuple[float, float]]]:
    """Strokes that fill the box from left to right: two or three characters of some strokes each."""
    characters = rng.choice((2, 3))
    step = box.width / characters
    strokes = []
    for n in range(characters):
        for _ in range(rng.randrange(3, 8)):
            x, y = box.left + step * (n + rng.uniform(0.05, 0.6)), box.top + box.height * rng.uniform(0.05, 0.7)
            long, angle, bend = rng.uniform(0.3, 0.6) * box.height, rng.uniform(-0.3, 1.8), rng.uniform(-2, 2)
            points = []
            for part in range(13):
                within_x = min(max(x, box.left), box.left + box.width)
                points.append((within_x, min(max(y, box.top), box.top + box.height)))
                x, y = x + long / 12 * cos(angle + bend * part / 12), y + long / 12 * sin(angle + bend * part / 12)
            strokes.append(points)
    return strokes


def photograph(
    page: bytes,
    rng: Random,
    *,
    layout: Layout = A4,
    pixels: int = 3_000_000,
    degrees: float | None = None,
    tilt: float = 25,
    share: tuple[float, float] = (0.6, 0.95),
    shade: float = 0.45,
    blur: tuple[float, float] = (0.3, 1.1),
    noise: float = 6,
    quality: int | None = None,
    hidden: int | None = None,
    fold: bool = False,
    moire: float = 0,
) -> tuple[bytes, Truth]:
    """A JPEG of the page on a desk, turned by any angle, and how it was taken.

    `tilt`: at most so many degrees from the upright view; the page fills a `share` of the picture's sides; `shade`: how
    much less light the darkest side gets; `blur` in pixels; `hidden`: this marker is under a thumb; `moire`: depth.
    """
    upright = rng.random() < 0.5
    size = round((pixels * (0.75 if upright else 4 / 3)) ** 0.5), round((pixels * (4 / 3 if upright else 0.75)) ** 0.5)
    degrees = rng.uniform(0, 360) if degrees is None else degrees
    place = _place(layout, size, degrees, radians(rng.uniform(0, tilt)), rng.uniform(*share), rng)
    paper = _worn(opened(page), rng, layout, fold)
    picture = _laid(paper, _desk(rng, size), place, layout)
    if hidden is not None:
        _thumb(picture, place, layout.markers[hidden], rng)
    picture = _lit(picture, rng, shade, moire)
    sharpness = rng.uniform(*blur)
    picture = cv2.GaussianBlur(picture, None, sharpness) if sharpness > 0.2 else picture
    if noise:
        picture = cv2.add(picture, _grain(rng, picture.shape, rng.uniform(noise / 4, noise)), dtype=cv2.CV_8U)
    chosen = rng.randrange(60, 91) if quality is None else quality
    _, made = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, chosen))
    return made.tobytes(), Truth(place, degrees, hidden, chosen, sharpness)


def scanned(
    page: bytes, rng: Random, *, dpi: int = 200, hidden: int | None = None, fold: bool = False
) -> tuple[bytes, Truth]:
    """The page from a flat-bed scanner: in one of four orientations and nearly straight, evenly lit."""
    degrees = rng.choice((0, 90, 180, 270)) + rng.uniform(-3, 3)
    pixels = round(210 * 297 * (dpi / 25.4) ** 2 * 1.1)
    return photograph(
        page, rng, pixels=pixels, degrees=degrees, tilt=0, share=(0.97, 0.97), shade=0.04, blur=(0, 0.6), noise=3,
        hidden=hidden, fold=fold,
    )  # fmt: skip


def _place(layout: Layout, size: tuple[int, int], degrees: float, tilt: float, share: float, rng: Random) -> Map:
    """Maps the sheet's millimetres to pixels, seen by a camera of a common angle from anywhere above."""
    turn, axis = radians(degrees), rng.uniform(0, 2 * pi)
    centre = np.array([(1, 0, -layout.width / 2), (0, 1, -layout.height / 2), (0, 0, 1)])
    turned = np.array([(cos(turn), -sin(turn), 0), (sin(turn), cos(turn), 0), (0, 0, 1)])
    camera = 1.6 * layout.height
    lean = np.array([(1, 0, 0), (0, 1, 0), (sin(tilt) * cos(axis) / camera, sin(tilt) * sin(axis) / camera, 1)])
    squeeze = np.diag((1 - (1 - cos(tilt)) * abs(cos(axis)), 1 - (1 - cos(tilt)) * abs(sin(axis)), 1))
    place = lean @ squeeze @ turned @ centre
    corners = np.array([[(0, 0), (layout.width, 0), (layout.width, layout.height), (0, layout.height)]], np.float64)
    (left, top), (right, bottom) = (
        act(cv2.perspectiveTransform(corners, place)[0], axis=0) for act in (np.min, np.max)
    )
    scale = share * min(size[0] / (right - left), size[1] / (bottom - top))
    free = size[0] - scale * (right - left), size[1] - scale * (bottom - top)
    aside = rng.uniform(0.2, 0.8) * free[0] - scale * left, rng.uniform(0.2, 0.8) * free[1] - scale * top
    return np.array([(scale, 0, aside[0]), (0, scale, aside[1]), (0, 0, 1)]) @ place


def _worn(page: Pixels, rng: Random, layout: Layout, fold: bool) -> Pixels:
    """Paper that isn't quite white, with dust, a hair, and perhaps folded before."""
    per_mm = page.shape[1] / layout.width
    for _ in range(DUST):
        x, y = rng.uniform(0, page.shape[1]), rng.uniform(0, page.shape[0])
        cv2.circle(
            page,
            (round(x), round(y)),
            max(1, round(rng.uniform(0.05, 0.35) * per_mm)),
            (rng.randrange(60, 200),) * 3,
            -1,
        )
    shades = np.full((round(layout.height), round(layout.width), 1), 1.0, np.float32)
    if fold:
        _fold(shades, rng)
    shades = shades * np.array([rng.uniform(0.93, 1), rng.uniform(0.96, 1), 1], np.float32)
    return _dimmed(page, shades)


def _fold(shades: Floats, rng: Random) -> None:
    """The lower part leans from the light; the crease is darker still. One across, one down."""
    across, down = rng.randrange(95, 145), rng.randrange(45, 165)
    shades[across:] *= rng.uniform(0.85, 0.95)
    shades[across - 1 : across + 1] *= rng.uniform(0.88, 0.96)
    shades[:, down:] *= rng.uniform(0.9, 0.97)
    shades[:, down - 1 : down + 1] *= rng.uniform(0.9, 0.97)


def _desk(rng: Random, size: tuple[int, int]) -> Pixels:
    """A plain, speckled or wood-grained surface."""
    colour = np.array(rng.choice(DESKS), np.float32)
    cells = rng.choice(((2, 2), (60, 60), (8, 120), (200, 200)))
    rough = np.random.default_rng(rng.getrandbits(32)).uniform(0.55, 1.4, (*cells, 1)).astype(np.float32)
    cells_of_desk = np.rint((rough * colour).clip(0, 255)).astype(np.uint8)
    return cv2.resize(cells_of_desk, size, interpolation=cv2.INTER_LINEAR)


def _laid(paper: Pixels, desk: Pixels, place: Map, layout: Layout) -> Pixels:
    per_mm = paper.shape[1] / layout.width
    corners = np.array([[(0, 0), (layout.width, 0), (layout.width, layout.height), (0, layout.height)]], np.float64)
    smaller = (
        per_mm
        * (
            layout.width
            * layout.height
            / abs(cv2.contourArea(cv2.perspectiveTransform(corners, place)[0].astype(np.float32)))
        )
        ** 0.5
    )
    if smaller > 1.2:
        paper = cv2.GaussianBlur(paper, None, 0.4 * smaller)
    to_picture = place @ np.diag((1 / per_mm, 1 / per_mm, 1))
    return cv2.warpPerspective(paper, to_picture, desk.shape[1::-1], desk, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)


def _thumb(picture: Pixels, place: Map, box: Box, rng: Random) -> None:
    middle = np.array([[(box.left + box.width / 2, box.top + box.height / 2)]])
    x, y = cv2.perspectiveTransform(middle, place)[0, 0]
    mm = float(np.sqrt(abs(np.linalg.det(place[:2, :2]))))
    size = round(mm * rng.uniform(9, 12)), round(mm * rng.uniform(13, 20))
    cv2.ellipse(picture, (round(x), round(y)), size, rng.uniform(0, 180), 0, 360, (120, 150, 205), -1, cv2.LINE_AA)


def _lit(picture: Pixels, rng: Random, shade: float, moire: float) -> Pixels:
    """Less light to one side, a shadow with a soft edge, the colour of the lamp."""
    rows, columns = np.mgrid[0:1:48j, 0:1:48j].astype(np.float32)
    angle, edge = rng.uniform(0, 2 * pi), rng.uniform(0.2, 0.8)
    along = columns * cos(angle) + rows * sin(angle)
    along = (along - along.min()) / (along.max() - along.min())
    light = 1 - rng.uniform(0, shade) * along
    if shade > 0.1 and rng.random() < 0.5:
        light *= 1 - rng.uniform(0, shade) / (1 + np.exp((hypot(1, 0) * (along - edge)) * rng.uniform(10, 60)))
    lamp = (
        np.array([rng.uniform(0.8, 1), rng.uniform(0.92, 1), 1], np.float32) if shade > 0.1 else np.ones(3, np.float32)
    )
    lit = _dimmed(picture, light[:, :, None] * lamp * rng.uniform(1 - shade / 2, 1))
    if not moire:
        return lit
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    turn, period = rng.uniform(0, pi), rng.uniform(5, 25)
    waves = 1 - moire / 2 + moire / 2 * np.sin((columns * cos(turn) + rows * sin(turn)) * 2 * pi / period)
    return _dimmed(lit, waves[:, :, None])


def _dimmed(picture: Pixels, shades: Floats) -> Pixels:
    wide = cv2.resize(shades, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    wide = wide if wide.ndim == 3 else cv2.merge((wide,) * 3)
    return cv2.multiply(picture, wide, dtype=cv2.CV_8U)


def _noise(rng: Random, shape: Sequence[int], mean: float, deviation: float) -> Floats:
    """A tile of noise, repeated: quicker than so many random numbers."""
    tile = np.random.default_rng(rng.getrandbits(32)).normal(mean, deviation, (251, 257, 1)).astype(np.float32)
    return np.tile(tile, (shape[0] // 251 + 1, shape[1] // 257 + 1, 1))[: shape[0], : shape[1]]


def _grain(rng: Random, shape: Sequence[int], deviation: float) -> Floats:
    return cv2.merge((_noise(rng, shape, 0, deviation)[:, :, 0],) * 3)


def opened(picture: bytes) -> Pixels:
    """The pixels (blue, green, red, and alpha where there is one) of a PNG or JPEG."""
    made = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    assert made is not None
    return made


def png(picture: Pixels) -> bytes:
    """The picture as a PNG, written quickly."""
    _, made = cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    return made.tobytes()
