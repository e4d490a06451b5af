"""What is seen along lines in a small photo, and in each part of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kit.formats.photos.edges import Floats, Gradients, Line, Mask, Places, at, calm_at, ramp, rounded

STRAY = 2
"""Pixels by which a side may deviate from its line."""
ALONG = 4
"""Gradients are averaged over twice this many pixels along a line, plus one."""
BESIDE = (2.5, 5, 8)
"""Distances from a line at which the colours of its two sides are compared."""
FAINT, CLEAR = 2.0, 3.5
"""Contrasts, in levels of `planes_of`: of what is left of a printed frame; of a white desk and white paper."""

SEEN, EDGE, CONTRAST, SHARP, LIGHTER, CALM_LOW, CALM_HIGH, MEASURES = range(8)
"""Measures, from 0 to 1 for each pixel of a line that is inside of the photo (`SEEN`). `EDGE`: there is an edge;
`CONTRAST`: the colours beside it differ; `SHARP`: they do so close to it, too, unlike those beside a shadow; `LIGHTER`:
its higher side is lighter; `CALM_LOW`, `CALM_HIGH`: no edges near its lower, its higher side."""


@dataclass(frozen=True)
class Measured:
    """Lines with running sums of the measures along each: `sums[line, to] - sums[line, since]`.

    Shape of `sums`: (lines, positions + 1, measures). Position `start` is the foot of the perpendicular from the
    origin. `angle` … `border`: of each line.
    """

    angle: Floats
    rho: Floats
    border: Mask
    start: int
    sums: Floats

    @property
    def cos(self) -> Floats:
        """The horizontal parts of the lines' normals."""
        return np.cos(self.angle)

    @property
    def sin(self) -> Floats:
        """The vertical parts of the lines' normals."""
        return np.sin(self.angle)

    def position(self, lines: Places, x: Floats, y: Floats) -> Places:
        """The positions of points along their lines."""
        return rounded(y * self.cos[lines] - x * self.sin[lines]) + self.start

    def part(self, lines: Places, since: Places, to: Places) -> Floats:
        """The sums of the measures between two positions on each line."""
        low = np.maximum(0, since)
        high = np.minimum(self.sums.shape[1] - 1, to)
        sums = self.sums[lines, np.maximum(low, high)] - self.sums[lines, np.minimum(low, self.sums.shape[1] - 1)]
        return np.where((high > low)[..., None], sums, 0)


@dataclass(frozen=True)
class _Track:
    """All lines, position by position: where they are, and which positions are inside of the photo."""

    x: Floats
    y: Floats
    cos: Floats
    sin: Floats
    inside: Mask

    def beside(self, off: float) -> tuple[Floats, Floats]:
        return self.x + off * self.cos, self.y + off * self.sin


def measured(lines: Sequence[Line], maps: Sequence[Gradients], planes: Floats) -> Measured:
    """Measure lines in all `maps`; colours are compared in `planes`, calm is looked for in the first map."""
    start = int(np.ceil(np.hypot(*maps[0].size))) + 1
    angle, rho = np.array([line.angle for line in lines]), np.array([line.rho for line in lines])
    track = _track(angle[:, None], rho[:, None], start, maps[0].size)
    values = np.zeros((len(lines), 2 * start, MEASURES))
    values[..., SEEN], values[..., EDGE] = 1, _edge_along(track, maps)
    values[..., CONTRAST], values[..., SHARP], values[..., LIGHTER] = _compared(track, maps[0], planes)
    values[..., CALM_LOW] = calm_at(maps[0], track.x, track.y, -track.cos, -track.sin)
    values[..., CALM_HIGH] = calm_at(maps[0], track.x, track.y, track.cos, track.sin)
    values[~track.inside] = 0
    sums = np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0), (0, 0)))
    return Measured(angle, rho, np.array([line.border for line in lines]), start, sums)


def _track(angle: Floats, rho: Floats, start: int, size: tuple[int, int]) -> _Track:
    along, cos, sin = np.arange(-start, start)[None], np.cos(angle), np.sin(angle)
    x, y = rho * cos - along * sin, rho * sin + along * cos
    return _Track(x, y, cos, sin, (x >= 1) & (y >= 1) & (x < size[0] - 2) & (y < size[1] - 2))


def _edge_along(track: _Track, maps: Sequence[Gradients]) -> Floats:
    """The steepest mean gradient across each line within `STRAY` pixels of it, in any map."""
    wide = 2 * ALONG + 1
    whole = cv2.erode(track.inside.astype(np.uint8), np.ones((1, wide)), borderValue=0) > 0
    edges = []
    for gradients in maps:
        for off in range(-STRAY, STRAY + 1):
            across, down = (at(each, *track.beside(off))[0] for each in (gradients.across, gradients.down))
            steps = np.where(track.inside, across * track.cos + down * track.sin, 0)
            mean = np.abs(cv2.blur(steps, (wide, 1), borderType=cv2.BORDER_CONSTANT))
            edges.append(ramp(mean, 0.5 * gradients.weak, 2.5 * gradients.weak))
    return np.max(edges, axis=0) * whole


def _compared(track: _Track, gradients: Gradients, planes: Floats) -> tuple[Floats, Floats, Floats]:
    """`CONTRAST`, `SHARP` and `LIGHTER`; 0.5 where a point beside the line is outside of the photo."""
    weak = gradients.weak
    sizes, lighter, known = [], [], track.inside
    for off in BESIDE:
        (low, inside), (high, too) = _colours(planes, *track.beside(-off)), _colours(planes, *track.beside(off))
        known = known & inside & too
        sizes.append(np.sqrt(((high - low) ** 2).sum(axis=0)))
        lighter.append(high[0] - low[0])
    least, most = np.min(sizes, axis=0), np.max(sizes, axis=0)
    contrast = ramp(least, max(weak, FAINT), max(4 * weak, CLEAR))
    values = contrast, ramp(sizes[0] / (most + weak / 2), 0.2, 0.8), ramp(lighter[1], -weak, weak)
    contrast, sharp, light = (np.where(known, each, 0.5) for each in values)
    return contrast, sharp, light


def _colours(planes: Floats, x: Floats, y: Floats) -> tuple[Floats, Mask]:
    found = [at(plane, x, y) for plane in planes]
    return np.stack([values for values, _ in found]), found[0][1]
