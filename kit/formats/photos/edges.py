"""Straight edges in a small photo: the lines that may be sides of a sheet."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.floating]
Places: TypeAlias = NDArray[np.intp]
Mask: TypeAlias = NDArray[np.bool_]

# Details of up to 8 pixels across (text, thin frames, patterns) are removed: windows of 9 pixels, and of 17.
SPECK, TWICE = np.ones((9, 9), np.uint8), np.ones((17, 17), np.uint8)
LEAST = 0.35
"""The weakest gradient of an edge, in levels of `planes_of`."""
ANGLES = 180
TURN = np.pi / ANGLES
STEP = 1.5
"""Pixels of a step of a line's distance from the origin."""
SPREAD = 2
"""Steps by which the direction of an edge's pixel may be off."""
REACH = 3
"""Pixels from a line within which edges belong to it."""
FEWEST = 12
"""Pixels of a line."""
CALM = (3, 6, 10, 15, 20)
"""Distances from its sides at which a sheet has no edges."""


@dataclass(frozen=True)
class Gradients:
    """The gradient of each pixel, of the plane in which it is steepest; `weak`: the size from which it is an edge."""

    across: Floats
    down: Floats
    steep: Floats
    weak: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.steep.shape
        return width, height


@dataclass(frozen=True)
class Line:
    """x cos(angle) + y sin(angle) = rho; `border`: it is one of the photo's own sides."""

    angle: float
    rho: float
    border: bool = False

    @property
    def cos(self) -> float:
        """The horizontal part of its normal."""
        return float(np.cos(self.angle))

    @property
    def sin(self) -> float:
        """The vertical part of its normal."""
        return float(np.sin(self.angle))


def planes_of(photo: Pixels) -> Floats:
    """Three planes (brightness, two of colour), on a scale on which noise is about equal in light and shade: 0 to 256.

    Shape (3, height, width).
    """
    red, green, blue = 16 * np.sqrt(np.moveaxis(photo.astype(np.float32), 2, 0))
    return np.stack(((red + 2 * green + blue) / 4, red - green, (red + green) / 2 - blue))


def without_details(photo: Pixels) -> Pixels:
    """The photo without small dark details (closing) and small light ones (opening)."""
    return cv2.dilate(cv2.erode(cv2.dilate(photo, SPECK), TWICE), SPECK)


def gradients_of(planes: Floats) -> Gradients:
    """The gradients of planes; those at the photo's border are 0."""
    across, down = (np.stack([_sobel(plane, axis) for plane in planes]) for axis in (1, 0))
    squares = across**2 + down**2
    which = squares.argmax(axis=0)[None]
    across, down, steep = (np.take_along_axis(each, which, axis=0)[0] for each in (across, down, np.sqrt(squares)))
    return Gradients(across, down, steep, max(LEAST, 2 * float(np.median(steep))))


def _sobel(plane: Floats, axis: int) -> Floats:
    slope = cv2.Sobel(plane, cv2.CV_32F, axis, 1 - axis, ksize=3, scale=1 / 8)
    inner = np.zeros_like(slope)
    inner[1:-1, 1:-1] = slope[1:-1, 1:-1]
    return inner


def ramp(value: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`."""
    return np.clip((value - low) / (high - low), 0, 1)


def rounded(value: Floats) -> Places:
    """The nearest whole numbers, halves upwards."""
    return np.floor(value + 0.5).astype(np.intp)


def at(plane: Floats, x: Floats, y: Floats) -> tuple[Floats, Mask]:
    """The values of the pixels at these points, 0 outside of the photo; and which are inside."""
    column, row = rounded(x), rounded(y)
    inside = (column >= 0) & (row >= 0) & (column < plane.shape[1]) & (row < plane.shape[0])
    return np.where(inside, plane[np.where(inside, row, 0), np.where(inside, column, 0)], 0), inside


def calm_at(gradients: Gradients, x: Floats, y: Floats, across: Floats, down: Floats) -> Floats:
    """Whether there are no edges in this direction from each point: 0 to 1."""
    steep = [at(gradients.steep, x + off * across, y + off * down)[0] for off in CALM]
    return 1 - ramp(np.max(steep, axis=0), gradients.weak, 4 * gradients.weak)


@dataclass(frozen=True)
class _Crests:
    """Pixels at which the gradient is steepest on the way across an edge; `angle` in steps of a degree."""

    x: Floats
    y: Floats
    angle: Places
    weight: Floats

    def those(self, which: Mask) -> "_Crests":
        return _Crests(self.x[which], self.y[which], self.angle[which], self.weight[which])


def lines_in(gradients: Gradients, plain: Gradients, most: int) -> list[Line]:
    """The longest straight edges (Hough), at most `most`. Edges beside a calm area of `plain` count more.

    Pixels of a line that is found don't vote for others. `plain`: the gradients without details.
    """
    crests = _crests_of(gradients, plain)
    zero = int(np.ceil(np.hypot(*gradients.size) / STEP)) + 1
    votes = np.zeros((ANGLES, 2 * zero + 1))
    _vote(votes, crests, 1)
    found: list[Line] = []
    while len(found) < most and votes.max() >= FEWEST:
        angle, distance = np.unravel_index(votes.argmax(), votes.shape)
        line = Line(float(angle) * TURN, float(distance - zero) * STEP)
        own = _belonging(line, crests)
        _vote(votes, crests.those(own), -1)
        found.append(fitted(*_points(crests.those(own))) if own.sum() > FEWEST else line)
        crests = crests.those(~own)
    return found


def _points(crests: _Crests) -> tuple[Floats, Floats, Floats]:
    return crests.x, crests.y, crests.weight


def _crests_of(gradients: Gradients, plain: Gradients) -> _Crests:
    steep, weak = gradients.steep, gradients.weak
    y, x = np.nonzero(steep >= weak)
    inner = (x >= 2) & (y >= 2) & (x < steep.shape[1] - 2) & (y < steep.shape[0] - 2)
    x, y = x[inner], y[inner]
    size = steep[y, x]
    across, down = gradients.across[y, x] / size, gradients.down[y, x] / size
    right, below = rounded(across), rounded(down)
    crest = (size >= steep[y + below, x + right]) & (size > steep[y - below, x - right])
    x, y, size, across, down = (each[crest] for each in (x, y, size, across, down))
    calm = np.maximum(calm_at(plain, x, y, across, down), calm_at(plain, x, y, -across, -down))
    weight = np.minimum(1, size / (4 * weak)) * (0.1 + 0.9 * calm)
    return _Crests(x, y, rounded(np.arctan2(down, across) / TURN), weight)


def _vote(votes: Floats, crests: _Crests, sign: int) -> None:
    zero = votes.shape[1] // 2
    for off in range(-SPREAD, SPREAD + 1):
        turned = (crests.angle + off) % ANGLES
        distance = (crests.x * np.cos(turned * TURN) + crests.y * np.sin(turned * TURN)) / STEP + zero
        low = np.floor(distance).astype(np.intp)
        np.add.at(votes, (turned, low), sign * crests.weight * (low + 1 - distance))
        np.add.at(votes, (turned, low + 1), sign * crests.weight * (distance - low))


def _belonging(line: Line, crests: _Crests) -> Mask:
    near = np.abs(crests.x * line.cos + crests.y * line.sin - line.rho) < REACH
    return near & (np.abs(np.sin(line.angle - crests.angle * TURN)) < np.sin((2 * SPREAD + 1) * TURN))


def fitted(x: Floats, y: Floats, weight: Floats) -> Line:
    """The line through weighted points that minimises the squared distances."""
    total = weight.sum()
    middle_x, middle_y = (weight * x).sum() / total, (weight * y).sum() / total
    off_x, off_y = x - middle_x, y - middle_y
    both, difference = (weight * off_x * off_y).sum(), (weight * (off_x**2 - off_y**2)).sum()
    angle = (np.arctan2(2 * both, difference) / 2 + 1.5 * np.pi) % np.pi
    return Line(float(angle), float(middle_x * np.cos(angle) + middle_y * np.sin(angle)))


def borders_of(size: tuple[int, int]) -> list[Line]:
    """The sides of a photo of this width and height."""
    ends = [Line(0, -0.5), Line(0, size[0] - 0.5), Line(np.pi / 2, -0.5), Line(np.pi / 2, size[1] - 0.5)]
    return [replace(line, border=True) for line in ends]
