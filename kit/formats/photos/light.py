"""Even light for a straightened sheet."""

from dataclasses import dataclass

import cv2
import numpy as np

from kit.formats.photos.edges import Floats, Mask, Pixels

CELLS = 56
"""Along the long side: in each the colour of the paper is measured."""
PAPER = 0.85
"""Share of a cell's pixels that are darker than its paper."""
WHITE = 250.0
"""What paper becomes."""
MOST = 3.0
"""By which a channel is brightened at most."""
DARKEST = 88.0
"""Brightness to which a dark cover is brightened."""
BRIGHTNESS = np.array((0.3, 0.6, 0.1))
TINT = 0.14
"""By which the colour of paper in another light may differ."""
SHADE = 0.4
"""The darkest shadow, as share of the paper's usual brightness."""
COLOURED = 0.3
"""Saturation from which a sheet is a coloured one."""


@dataclass(frozen=True)
class _Grid:
    """The colour of the paper in cells of `size` pixels, shape (rows, columns, 3)."""

    size: int
    colours: Floats


def whiten(sheet: Pixels) -> Pixels:
    """The sheet with its paper white in any light; stamps keep their colour.

    A sheet in one colour (a cover) keeps it, but gets even light, and is brightened if it is dark.
    """
    grid = _grid_of(sheet)
    every = grid.colours.reshape(-1, 3)
    usual = np.sort(every, axis=0)[len(every) // 2]
    light = _smooth(_smooth(_filled(grid.colours, _is_paper(grid.colours, usual), usual)))
    if 1 - usual.min() / max(1, usual.max()) <= COLOURED:
        return _lit(sheet, grid.size, _gain(WHITE, light))
    brighter = max(1.0, DARKEST / max(1, BRIGHTNESS @ usual))
    gains = _gain(brighter * usual, light).mean(axis=2, keepdims=True)
    return _lit(sheet, grid.size, np.repeat(gains, 3, axis=2))


def _gain(target: Floats | float, light: Floats) -> Floats:
    return np.minimum(MOST, target / np.maximum(1, light))


def _grid_of(sheet: Pixels) -> _Grid:
    height, width = sheet.shape[:2]
    size = max(8, -(-max(width, height) // CELLS))
    rows = [
        [_paper_in(sheet[y : y + size, x : x + size]) for x in range(0, width, size)] for y in range(0, height, size)
    ]
    return _Grid(size, np.array(rows, np.float32))


def _paper_in(cell: Pixels) -> Pixels:
    """A high percentile of each channel."""
    colours = cell.reshape(-1, 3)
    place = max(0, int(np.ceil(PAPER * len(colours))) - 1)
    return np.partition(colours, place, axis=0)[place]


def _is_paper(colours: Floats, usual: Floats) -> Mask:
    """Which cells are paper in light or shade, not a photo or a stamp."""
    shares = colours / np.maximum(1, usual)
    mean = shares.mean(axis=2, keepdims=True)
    return (mean[..., 0] > SHADE) & (np.abs(shares / np.maximum(mean, 1e-6) - 1) < TINT).all(axis=2)


def _filled(colours: Floats, known: Mask, usual: Floats) -> Floats:
    """Cells without a colour get the mean of their neighbours, from the known ones inwards."""
    if not known.any():
        return np.broadcast_to(usual.astype(np.float32), colours.shape)
    while not known.all():
        around, count = _around(np.where(known[..., None], colours, 0)), _around(known.astype(np.float32))
        colours = np.where(known[..., None], colours, around / np.maximum(1, count)[..., None])
        known = known | (count > 0)
    return colours


def _smooth(colours: Floats) -> Floats:
    return _around(colours) / _around(np.ones(colours.shape[:2], np.float32))[..., None]


def _around(values: Floats) -> Floats:
    """The sum over each cell and its neighbours."""
    return cv2.boxFilter(values.astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)


def _lit(sheet: Pixels, size: int, gains: Floats) -> Pixels:
    """The sheet multiplied by gains that are interpolated between the middles of the cells."""
    rows, columns = gains.shape[:2]
    wide = cv2.resize(gains.astype(np.float32), (columns * size, rows * size), interpolation=cv2.INTER_LINEAR)
    return np.rint(np.minimum(255, sheet * wide[: sheet.shape[0], : sheet.shape[1]])).astype(np.uint8)
