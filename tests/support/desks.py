"""Surfaces for photos: plain, wood, patterned cloth, near-white, tiles, a keyboard; all from a seeded `Random`."""

from collections.abc import Callable, Sequence
from math import cos, pi, sin
from random import Random
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.paper_certificates import Colour, Pixels

Floats: TypeAlias = NDArray[np.float32]
Size: TypeAlias = tuple[int, int]
DESKS = ("dark", "light", "wood", "cloth", "near-white", "coloured")
EMPTY = ("keyboard", "tiles", "planks")
DARK: tuple[Colour, ...] = ((42, 38, 36), (58, 52, 50), (30, 34, 40), (70, 60, 52))
LIGHT: tuple[Colour, ...] = ((205, 198, 188), (190, 190, 192), (214, 205, 190), (178, 172, 165))
WOOD: tuple[Colour, ...] = ((150, 105, 65), (185, 145, 100), (95, 62, 42), (205, 170, 125), (120, 80, 55))
CLOTH: tuple[Colour, ...] = ((150, 40, 45), (60, 80, 130), (225, 220, 205), (80, 110, 80), (200, 170, 120))


def desk(kind: str, size: Size, paper: Pixels, rng: Random) -> Pixels:
    """A surface in RGB. A near-white one is hardly darker than the `paper`."""
    made = SURFACES[kind](size, paper, rng)
    if kind in ("dark", "light", "coloured", "wood") and rng.random() < 0.15:
        _end_of_desk(made, rng)
    surface: Pixels = cv2.convertScaleAbs(made)
    return surface


def noise(shape: Sequence[int], deviation: float, rng: Random) -> Floats:
    """Grain of a sensor: a tile of noise, repeated, because so many random numbers would take long."""
    tile = np.random.default_rng(rng.getrandbits(32)).normal(0, deviation, (509, 503, 3)).astype(np.float32)
    tile = cv2.GaussianBlur(tile, None, 0.5) * np.float32(1.6)
    return np.tile(tile, (shape[0] // 509 + 1, shape[1] // 503 + 1, 1))[: shape[0], : shape[1]]


def _rough(size: Size, cells: tuple[int, int], depth: float, rng: Random) -> Floats:
    """Random brightness around 1, in cells (down, across) with smooth transitions."""
    random = np.random.default_rng(rng.getrandbits(32)).normal(1, depth, cells).astype(np.float32)
    rough: Floats = cv2.resize(random, size, interpolation=cv2.INTER_CUBIC)[:, :, None]
    return rough


def _plain(colours: Sequence[Colour]) -> Callable[[Size, Pixels, Random], Floats]:
    def made(size: Size, paper: Pixels, rng: Random) -> Floats:
        colour = np.array(rng.choice(colours), np.float32)
        fine = _rough(size, (size[1] // 3, size[0] // 3), rng.choice((0.005, 0.03, 0.06)), rng)
        return colour * _rough(size, (5, 5), 0.03, rng) * fine

    return made


def _near_white(size: Size, paper: Pixels, rng: Random) -> Floats:
    """4 to 16 levels beside the paper, with a slight tint."""
    middle = np.percentile(paper[::8, ::8].reshape(-1, 3), 70, axis=0).astype(np.float32)
    if middle.min() < 200:  # a cover: the desk is near white, not near its colour
        middle[:] = 245
    tint = np.array([rng.uniform(-3, 3) for _ in range(3)], np.float32)
    return (middle - rng.uniform(4, 16) + tint) * _rough(size, (4, 4), 0.006, rng)


def _wood(size: Size, paper: Pixels, rng: Random) -> Floats:
    """Grain along one side, in streaks of three widths, and dark lines."""
    colour, down = np.array(rng.choice(WOOD), np.float32), rng.random() < 0.5
    across = size if not down else (size[1], size[0])
    grain = np.ones((1, 1, 1), np.float32)
    for streaks, depth in ((14, 0.08), (70, 0.06), (260, 0.05)):
        grain = grain * _rough(across, (streaks, rng.randrange(2, 7)), depth, rng)
    wavy = _waved(np.clip(grain, 0.45, 1.5) * np.ones((across[1], across[0], 1), np.float32), rng)
    wood: Floats = colour * (wavy.transpose(1, 0, 2) if down else wavy)
    return wood


def _waved(grain: Floats, rng: Random) -> Floats:
    height, width = grain.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    depth, waves = height * rng.uniform(0, 0.02), rng.uniform(1, 3)
    moved = rows + np.float32(depth) * np.sin(columns / width * np.float32(waves * pi))
    waved: Floats = cv2.remap(grain, columns, moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)[:, :, None]
    return waved


def _planks(size: Size, paper: Pixels, rng: Random) -> Floats:
    """A wooden floor: planks with dark seams."""
    floor, step = _wood(size, paper, rng), round(max(size) / rng.uniform(4, 8))
    offset = rng.randrange(step)
    for at in range(offset, max(size), step):
        shade, seam = rng.uniform(0.85, 1.12), max(2, step // 60)
        floor[at : at + step] *= shade
        floor[at : at + seam] *= 0.45
    return floor


def _cloth(size: Size, paper: Pixels, rng: Random) -> Floats:
    """Checks, stripes, dots or flowers on a woven cloth."""
    ground, other = (np.array(each, np.float32) for each in rng.sample(CLOTH, 2))
    turned = cv2.getRotationMatrix2D((0, 0), rng.uniform(-40, 40), 1)
    period = max(size) / rng.uniform(10, 40)
    columns, rows = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    x, y = (row[0] * columns + row[1] * rows for row in turned.astype(np.float32))
    step = np.float32(2 * pi / period)
    share = PATTERNS[rng.choice(tuple(PATTERNS))](x * step, y * step)[:, :, None]
    weave = 1 + np.float32(0.04) * np.sin(columns[:1] * np.float32(1.7)) * np.sin(rows[:, :1] * np.float32(1.7))
    cloth: Floats = (ground + (other - ground) * share) * weave[:, :, None] * _rough(size, (6, 6), 0.04, rng)
    return cloth


def _checks(x: Floats, y: Floats) -> Floats:
    checks: Floats = ((np.sin(x) > 0) * 0.5 + (np.sin(y) > 0) * 0.5).astype(np.float32)
    return checks


def _stripes(x: Floats, y: Floats) -> Floats:
    return np.clip(np.sin(x) * 4 + 0.5, 0, 1)


def _dots(x: Floats, y: Floats) -> Floats:
    return np.clip((np.sin(x) * np.sin(y) - 0.55) * 8, 0, 1)


def _flowers(x: Floats, y: Floats) -> Floats:
    flowers: Floats = np.clip((np.sin(x + np.sin(2 * y)) * np.sin(y + np.sin(2 * x))) * 3, 0, 1)
    return flowers


PATTERNS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "checks": _checks, "stripes": _stripes, "dots": _dots, "flowers": _flowers,
}  # fmt: skip


def keys(size: Size, paper: Pixels, rng: Random) -> Floats:
    """The keys of a keyboard, which continue beyond the photo."""
    width, height = size
    board, step = np.full((height, width, 3), rng.randrange(30, 60), np.uint8), max(size) / rng.uniform(8, 14)
    shade = rng.choice(((60, 60, 62), (225, 225, 225), (95, 95, 100)))
    for row in range(int(height / step) + 1):
        for column in range(-1, int(width / step) + 1):
            left, top = (column + 0.3 * (row % 3)) * step, row * step
            box = [round(each) for each in (left, top, left + 0.86 * step, top + 0.86 * step)]
            cv2.rectangle(board, box[:2], box[2:], shade, -1)
            below = box[0] + 12, box[1] + round(step / 2)
            cv2.putText(board, chr(rng.randrange(65, 91)), below, 0, step / 90, (128, 128, 128), 3)
    return board.astype(np.float32)


def _tiles(size: Size, paper: Pixels, rng: Random) -> Floats:
    """Floor tiles with grey joints."""
    floor, step = _plain(LIGHT)(size, paper, rng), round(max(size) / rng.uniform(2, 5))
    offset, joint = rng.randrange(step), max(3, step // 50)
    for at in range(offset - step, max(size), step):
        floor[max(0, at) : max(0, at + joint)] = 120
        floor[:, max(0, at) : max(0, at + joint)] = 120
    return floor


def _end_of_desk(made: Floats, rng: Random) -> None:
    """Beyond a straight edge near one side of the photo there is a darker floor."""
    height, width = made.shape[:2]
    angle, at = rng.uniform(-0.12, 0.12), rng.uniform(0.02, 0.12)
    columns, rows = np.arange(width)[None], np.arange(height)[:, None]
    beyond = columns * sin(angle) + rows * cos(angle) < at * height
    made[beyond] *= rng.uniform(0.3, 0.6)


SURFACES: dict[str, Callable[[Size, Pixels, Random], Floats]] = {
    "dark": _plain(DARK), "light": _plain(LIGHT), "wood": _wood, "cloth": _cloth, "near-white": _near_white,
    "coloured": _plain(CLOTH), "keyboard": keys, "tiles": _tiles, "planks": _planks,
}  # fmt: skip
