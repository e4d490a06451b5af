"""Finds the sheet of paper in a photo, and its size; straightens it."""

from dataclasses import dataclass

import cv2
import numpy as np

from kit.formats.photos.edges import (
    Floats,
    Line,
    Mask,
    Pixels,
    borders_of,
    fitted,
    gradients_of,
    lines_in,
    planes_of,
    without_details,
)
from kit.formats.photos.quads import Quad, area_of, best_quad
from kit.formats.photos.sides import measured

SMALL = 480
"""Pixels of the long side of the copy that is searched."""
LINES = 26
"""Candidates per map of gradients."""
CERTAIN = {
    "contrast": 0.4, "least_contrast": 0.2, "sharp": 0.6, "least_sharp": 0.4, "tone": 0.8, "overrun": -1.0,
}  # fmt: skip
MARGIN, ONE, MOST_MARGIN = 3.3, -4.0, 2.0
BEYOND = 2
"""Sides outside of the photo with which a sheet is never certain."""
FILLED = 0.88
"""The sides of such a sheet, as share of the photo's, from which it is taken to fill the photo."""
PALE = 0.15
"""Contrast of a side with which a sheet is never certain."""
DOUBT = 0.4
POINTS = 64
"""Of a side, at which its place is measured in the photo itself."""
NEAR = 2.5
"""Pixels of the small copy by which it may be off."""
ROOMS = (1, 1, 0.5, 0.3)
"""Shares of this by which points may deviate from the line, each time that it is fitted."""
FOCAL, LEAST_FOCAL, MOST_FOCAL = 0.78, 0.6, 2.0
"""Focal length of a phone's camera, in long sides of the photo; and how far a computed one may differ from it."""
LEAN = 0.06
"""Perspective from which the focal length can be computed."""
A4 = (297.0, 210.0)
PAPERS = (A4, (85.6, 53.98))
"""ISO 216; a card of ISO/IEC 7810 ID-1."""
SNAP = 1.06
"""A ratio that differs by less is taken for that of the size."""


@dataclass(frozen=True)
class Sheet:
    """Corners (4, 2) from the sheet's top left as seen in the photo, clockwise, in pixels; some may be outside of it.

    `confidence`: 0 to 1; below 0.5 the corners have to be confirmed.
    """

    corners: Floats
    confidence: float


def find_sheet(photo: Pixels) -> Sheet:
    """The likeliest sheet in a photo, shape (height, width, 3)."""
    height, width = photo.shape[:2]
    small = _reduced(photo, min(1, SMALL / max(height, width)))
    size = small.shape[1], small.shape[0]
    best = _candidate(small, size)
    confidence = _confidence(best)
    if best.features["borders"] * 4 >= BEYOND and best.features["area"] > FILLED:
        return Sheet(np.array([(0.0, 0), (width, 0), (width, height), (0, height)]), confidence)
    scale = np.array((width / size[0], height / size[1]))
    corners = _refined(photo, (best.corners + 0.5) * scale, best.borders, float(scale[0]))
    return Sheet(ordered(corners), confidence)


def _reduced(photo: Pixels, scale: float) -> Pixels:
    size = [max(1, round(side * scale)) for side in photo.shape[1::-1]]
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo


def _candidate(small: Pixels, size: tuple[int, int]) -> Quad:
    planes = planes_of(without_details(small))
    maps = [gradients_of(planes), gradients_of(planes_of(small))]
    lines = [line for gradients in maps for line in lines_in(gradients, maps[0], LINES)]
    return best_quad(measured([*lines, *borders_of(size)], maps, planes), size)


def _confidence(best: Quad) -> float:
    features = best.features
    total = sum(CERTAIN[name] * features[name] for name in CERTAIN) + MARGIN * min(MOST_MARGIN, best.margin) + ONE
    confidence = float(1 / (1 + np.exp(-total)))
    doubtful = features["borders"] * 4 >= BEYOND or features["least_contrast"] < PALE
    return min(DOUBT, confidence) if doubtful else confidence


def ordered(corners: Floats) -> Floats:
    """The corners clockwise from the top left."""
    clockwise = corners if area_of(corners) > 0 else corners[::-1]
    return np.roll(clockwise, -int(clockwise.sum(axis=1).argmin()), axis=0)


def _refined(photo: Pixels, corners: Floats, borders: Mask, scale: float) -> Floats:
    """The corners where the edges cross that are measured in the photo itself. Side n is before corner n."""
    ends = [(corners[n - 1], corners[n]) for n in range(4)]
    sides = [
        _through(*each) if border else _edge_near(photo, *each, scale)
        for each, border in zip(ends, borders, strict=True)
    ]
    better = [_crossing(sides[n], sides[(n + 1) % 4]) for n in range(4)]
    near = np.linalg.norm(np.array(better) - corners, axis=1) < 2 * NEAR * scale
    return np.where(near[:, None], better, corners)


def _crossing(one: Line, other: Line) -> tuple[float, float]:
    turn = one.cos * other.sin - one.sin * other.cos
    return (one.rho * other.sin - other.rho * one.sin) / turn, (other.rho * one.cos - one.rho * other.cos) / turn


def _through(start: Floats, end: Floats) -> Line:
    angle = float(np.arctan2(end[0] - start[0], start[1] - end[1]))
    return Line(angle, float(start[0] * np.cos(angle) + start[1] * np.sin(angle)))


def _edge_near(photo: Pixels, start: Floats, end: Floats, scale: float) -> Line:
    """The line along the steepest step near the way between two points; points that deviate count less and less."""
    x, y, size = _steps(photo, start, end, scale)
    line = _through(start, end)
    for room in ROOMS:
        off = (x * line.cos + y * line.sin - line.rho) / (room * NEAR * scale)
        weight = size * np.maximum(0, 1 - off**2) ** 2
        if np.count_nonzero(weight) < POINTS / 4:
            break
        line = fitted(x, y, weight)
    return line


def _steps(photo: Pixels, start: Floats, end: Floats, scale: float) -> tuple[Floats, Floats, Floats]:
    """The steepest step of the colour across a side, at some of its points: x, y, size. None outside of the photo."""
    ahead = (end - start) / np.linalg.norm(end - start)
    across = np.array((ahead[1], -ahead[0]))
    points = start + np.linspace(0.04, 0.96, POINTS)[:, None] * (end - start)
    reach, half = int(np.ceil(NEAR * scale)), max(1, round(scale / 2))
    offs = np.arange(-reach - half, reach + half + 1)
    column, row = np.moveaxis(np.floor(points[:, None] + offs[:, None] * across), 2, 0).astype(np.intp)
    inside = ((column >= 0) & (row >= 0) & (column < photo.shape[1]) & (row < photo.shape[0])).all(axis=1)
    colours = 16 * np.sqrt(photo[row[inside], column[inside]].astype(np.float32))
    sizes = np.linalg.norm(colours[:, 2 * half :] - colours[:, : -2 * half], axis=2)
    best = sizes.argmax(axis=1)
    x, y = (points[inside] + (best - reach)[:, None] * across).T
    return x, y, sizes.max(axis=1)


def sheet_size(corners: Floats, width: int, height: int) -> tuple[float, float]:
    """Width and height of the sheet, in mm: those of A4 or a card if its shape is about theirs, otherwise as on A4.

    The shape is computed from the perspective (Zhang and He, "Whiteboard scanning and image enhancement", 2007); a
    sheet seen from above has too little of it, then a common camera is assumed.
    """
    ratio = _ratio(corners, width, height)
    shape = max(ratio, 1 / ratio)
    papers = [(long, short) for long, short in PAPERS if max(shape * short / long, long / shape / short) < SNAP]
    fit = (A4[0], A4[0] / shape) if shape > A4[0] / A4[1] else (A4[1] * shape, A4[1])
    long, short = papers[0] if papers else fit
    return (long, short) if ratio > 1 else (short, long)


def _ratio(corners: Floats, width: int, height: int) -> float:
    (a, b, _), (d, e, _), (g, h, _) = map_to(corners - np.array((width, height)) / 2)
    usual = FOCAL * max(width, height)
    with np.errstate(divide="ignore", invalid="ignore"):
        computed = np.sqrt(-(a * b + d * e) / (g * h))
    leans = min(abs(g), abs(h)) > LEAN and LEAST_FOCAL * usual < computed < MOST_FOCAL * usual
    focal = computed if leans else usual
    return float(np.linalg.norm((a, d, g * focal)) / np.linalg.norm((b, e, h * focal)))


def map_to(corners: Floats) -> Floats:
    """The perspective map from the unit square to the corners, as a matrix."""
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    return cv2.getPerspectiveTransform(square, corners.astype(np.float32))


def straighten(photo: Pixels, corners: Floats, width: int, height: int) -> Pixels:
    """The quadrilateral (corners from the top left, clockwise) as a rectangle of this size; white outside of the photo.

    The photo is reduced first, if the result has fewer pixels: warping alone would skip most of them.
    """
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    times = max(1, int(min(max(sides[0], sides[2]) / width, max(sides[1], sides[3]) / height) + 0.25))
    smaller = _reduced(photo, 1 / times)
    scale = np.array(smaller.shape[1::-1]) / photo.shape[1::-1]
    from_pixels = np.array([(1 / width, 0, 0.5 / width), (0, 1 / height, 0.5 / height), (0, 0, 1)])
    place = np.array([(1, 0, -0.5), (0, 1, -0.5), (0, 0, 1)]) @ map_to(corners * scale) @ from_pixels
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(smaller, place, (width, height), flags=how, borderValue=(255, 255, 255))
