"""Quadrilaterals of four lines, scored by what is seen along their sides.

The weights were fitted to generated photos (tests/support/desk_photos.py), but not to those of the tests.
"""

from dataclasses import dataclass

import numpy as np

from kit.formats.photos.edges import Floats, Mask, Places
from kit.formats.photos.sides import CALM_HIGH, CALM_LOW, CONTRAST, EDGE, LIGHTER, SEEN, SHARP, Measured

OUTSIDE = 0.12
"""Share of the photo's side by which a corner may be outside of it."""
SMALLEST = 0.1
"""Share of the photo that a sheet covers at least."""
PARALLEL = 0.6
"""Opposite sides differ by less than this angle."""
APART = 0.15
"""Their distance, as share of the photo's shorter side."""
SQUARE = 0.75
"""Sine of the least angle between adjacent sides."""
FAINT = 0.2
"""The least mean edge of a side."""
LEAST_ANGLE = 0.25
"""Square of the sine of the least angle of a corner (30°)."""
RIVAL = 0.012
"""Share of the photo's sides by which the corners of another candidate differ."""
OVERRUN = len((SEEN, EDGE, CONTRAST, SHARP, LIGHTER, CALM_LOW, CALM_HIGH))
"""A measure of a side beside those of a line: the edge continues beyond the corners."""
BORDER = np.array([1, 0.5, 0.5, 0.5, 0.5, 0.7, 0.7, 0])
"""The measures of a side that is the photo's border."""
WEIGHTS = {
    "edge": 2.9, "least_edge": 1.8, "contrast": 3.4, "least_contrast": 3.2, "sharp": 2.1, "least_sharp": 2.2,
    "calm": 2.1, "least_calm": 0.5, "overrun": -2.9, "tone": 1.4, "area": 3.6, "borders": 0.9, "outside": -0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Quad:
    """A quadrilateral: corners (4, 2), clockwise or not; `borders`: the sides that are the photo's, n before corner n.

    `features`: what its score is made of; `margin`: by how much its score is better than that of the best elsewhere.
    """

    corners: Floats
    borders: Mask
    features: dict[str, float]
    margin: float


def best_quad(lines: Measured, size: tuple[int, int]) -> Quad:
    """The best quadrilateral of the lines, among which are the sides of the photo of this size."""
    crossings = _crossings(lines, size)
    ends, angle = _pairs(lines, size)
    sides, valid = _sides(lines, crossings, ends)
    numbers, corners, seen = _combined(crossings, ends, angle, sides, valid, size)
    features = _features(lines, numbers, corners, seen, size)
    score = sum((WEIGHTS[name] * features[name] for name in WEIGHTS), np.zeros(len(numbers)))
    best = int(score.argmax())
    rivals = score[_differ(corners, corners[best], RIVAL * sum(size))]
    margin = float(score[best] - rivals.max()) if len(rivals) else np.inf
    return Quad(
        corners[best], lines.border[numbers[best]], {name: float(each[best]) for name, each in features.items()}, margin
    )


def _crossings(lines: Measured, size: tuple[int, int]) -> Floats:
    """Where each two lines cross, shape (lines, lines, 2): NaN if it is too far outside of the photo."""
    (cos, sin, rho), (width, height) = (lines.cos, lines.sin, lines.rho), size
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = cos[:, None] * sin - sin[:, None] * cos
        x = (rho[:, None] * sin - rho * sin[:, None]) / turn
        y = (rho * cos[:, None] - rho[:, None] * cos) / turn
    near = (x > -OUTSIDE * width) & (y > -OUTSIDE * height) & (x < (1 + OUTSIDE) * width) & (y < (1 + OUTSIDE) * height)
    return np.where(near[..., None], np.stack((x, y), axis=-1), np.nan)


def _pairs(lines: Measured, size: tuple[int, int]) -> tuple[Places, Floats]:
    """Lines that may be opposite sides: their numbers, shape (pairs, 2), and the angle between them."""
    one, other = np.triu_indices(len(lines.angle), 1)
    turn = (lines.angle[one] - lines.angle[other] + 2.5 * np.pi) % np.pi - np.pi / 2
    same = np.sign(np.cos(lines.angle[one] - lines.angle[other]))
    middle = (size[0] / 2) * lines.cos + (size[1] / 2) * lines.sin - lines.rho
    apart = np.abs(middle[one] - same * middle[other]) > APART * min(size)
    kept = (np.abs(turn) <= PARALLEL) & apart
    return np.stack((one, other), axis=1)[kept], (lines.angle[one] - turn / 2)[kept]


def _sides(lines: Measured, crossings: Floats, pairs: Places) -> tuple[Floats, Mask]:
    """The part of each line between the two of each pair: measures (pairs, lines, 8), and whether there is an edge."""
    every = np.arange(len(lines.angle))
    corners = crossings[every[None, :, None], pairs[:, None, :]]
    valid = ~np.isnan(corners.sum(axis=(2, 3)))
    pair, line = np.nonzero(valid)
    measures = _measures(lines, line, corners[pair, line])
    found = measures[:, EDGE] > FAINT
    valid[pair[~found], line[~found]] = False
    sides = np.zeros((*valid.shape, measures.shape[1]))
    sides[pair, line] = measures
    return sides, valid


def _measures(lines: Measured, line: Places, corners: Floats) -> Floats:
    """The means between two points on each line, shape (lines, 8); 0 if less than half of it is in the photo."""
    positions = np.stack([lines.position(line, *corners[:, end].T) for end in (0, 1)])
    low, high = positions.min(axis=0), positions.max(axis=0)
    parts = lines.part(line, low + 2, high - 1)
    enough = parts[:, SEEN] >= 0.5 * (high - low - 3)
    means = np.column_stack((_mean(parts), _beyond(lines, line, low, high)))
    return np.where(lines.border[line, None], BORDER, np.where(enough[:, None], means, 0))


def _mean(parts: Floats) -> Floats:
    return parts / np.maximum(parts[:, SEEN, None], 1e-9)


def _beyond(lines: Measured, line: Places, low: Places, high: Places) -> Floats:
    """Whether the edge continues beyond the corners: then the sheet does, too."""
    reach = np.floor(np.maximum(16, (high - low) / 10) + 0.5).astype(np.intp)
    parts = lines.part(line, low - reach, low - 6), lines.part(line, high + 7, high + reach + 1)
    before, after = (_mean(part)[:, EDGE] for part in parts)
    return (before + after) / 2


def _combined(
    crossings: Floats, pairs: Places, angle: Floats, sides: Floats, valid: Mask, size: tuple[int, int]
) -> tuple[Places, Floats, Floats]:
    """Each two pairs that form a sheet: lines (quads, 4), corners (quads, 4, 2), measures of sides (quads, 4, 8)."""
    crossed = valid[:, pairs[:, 0]] & valid[:, pairs[:, 1]]
    square = np.abs(np.sin(angle[:, None] - angle)) > SQUARE
    one, other = np.nonzero(np.triu(crossed & crossed.T & square, 1))
    (a, b), (c, d) = pairs[one].T, pairs[other].T
    corners = np.stack([crossings[each] for each in ((a, c), (c, b), (b, d), (d, a))], axis=1)
    kept = _plausible(corners, size)
    seen = np.stack([sides[each] for each in ((other, a), (one, c), (other, b), (one, d))], axis=1)
    return np.stack((a, c, b, d), axis=1)[kept], corners[kept], seen[kept]


def _plausible(corners: Floats, size: tuple[int, int]) -> Mask:
    """Whether a sheet is large enough, convex, and has no angle below 30°."""
    ahead = np.roll(corners, -1, axis=1) - corners
    after = np.roll(ahead, -1, axis=1)
    turn = ahead[..., 0] * after[..., 1] - ahead[..., 1] * after[..., 0]
    wide = turn**2 >= LEAST_ANGLE * (ahead**2).sum(axis=2) * (after**2).sum(axis=2)
    convex = np.abs(np.sign(turn).sum(axis=1)) == turn.shape[1]
    return wide.all(axis=1) & convex & (np.abs(area_of(corners)) > SMALLEST * size[0] * size[1])


def area_of(corners: Floats) -> Floats:
    """The areas of polygons (…, corners, 2); positive if they are clockwise in a picture."""
    after = np.roll(corners, -1, axis=-2)
    return (corners[..., 0] * after[..., 1] - after[..., 0] * corners[..., 1]).sum(axis=-1) / 2


def _features(
    lines: Measured, numbers: Places, corners: Floats, seen: Floats, size: tuple[int, int]
) -> dict[str, Floats]:
    middle = corners.mean(axis=1)[:, None]
    away = middle[..., 0] * lines.cos[numbers] + middle[..., 1] * lines.sin[numbers] - lines.rho[numbers]
    inner = away > 0  # the sheet is at the line's higher side
    calm = np.where(inner, seen[..., CALM_HIGH], seen[..., CALM_LOW])
    lighter = np.where(inner, seen[..., LIGHTER], 1 - seen[..., LIGHTER])
    measures = {"edge": seen[..., EDGE], "contrast": seen[..., CONTRAST], "sharp": seen[..., SHARP], "calm": calm}
    beyond = np.maximum(-corners / size, corners / size - 1) / OUTSIDE  # 1 is as far as a corner may be
    return {
        **{name: each.mean(axis=1) for name, each in measures.items()},
        **{f"least_{name}": each.min(axis=1) for name, each in measures.items()},
        "overrun": seen[..., OVERRUN].mean(axis=1),
        "tone": np.abs(lighter.sum(axis=1) / 2 - 1),
        "borders": lines.border[numbers].mean(axis=1),
        "outside": np.maximum(0, beyond.max(axis=(1, 2))),
        "area": np.sqrt(np.abs(area_of(corners)) / (size[0] * size[1])),
    }


def _differ(corners: Floats, best: Floats, room: float) -> Mask:
    """Which quadrilaterals lie elsewhere: a corner of the best one is further than `room` from all of theirs."""
    distance = np.linalg.norm(corners[:, None] - best[None, :, None], axis=-1)
    return (distance > room).all(axis=2).any(axis=1)
