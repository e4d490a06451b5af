"""Photos of certificates on a desk, as a phone takes them, and of desks without one; each is determined by its seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import cos, pi, radians, sin
from random import Random
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.desks import DESKS, EMPTY, desk, noise
from tests.support.paper_certificates import STYLES, Colour, Pixels, Style, page

Floats: TypeAlias = NDArray[np.float32]
Map: TypeAlias = NDArray[np.float64]
Points: TypeAlias = NDArray[np.float64]

PIXELS = 3_000_000
MANY_PIXELS = (6_000_000, 12_000_000)
FOCAL = 0.76  # focal length of a phone's main camera, in long sides of its photo
SKIN: Colour = (205, 160, 135)


@dataclass(frozen=True)
class DeskPhoto:
    """A photo and what is known about it.

    `size` and `corners` are of the photo as it is shown: with its EXIF orientation applied. `corners` are the page's
    own from its top left, clockwise; some may be outside of the photo. `page`: its size in mm. `upright`: the quarter
    turns to the left that the photo needs to be read. `traits`: the desk, the certificate and the difficulties.
    """

    seed: int
    jpeg: bytes
    size: tuple[int, int]
    corners: Points
    page: tuple[float, float]
    upright: int
    traits: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """How the page is placed: `place` maps its millimetres to the photo's pixels; `bend`: a curl, in mm."""

    place: Map
    size: tuple[int, int]
    upright: int
    bend: float


def desk_photo(seed: int) -> DeskPhoto:
    """A certificate on a desk. Seeds in a row go through all desks and styles."""
    rng = Random(f"desk photo {seed}")
    kind = DESKS[seed % len(DESKS)]
    style = STYLES[seed // len(DESKS) % len(STYLES)]
    paper, size = page(style, rng.randrange(4))
    framing = rng.choices(("whole", "corner outside", "fills the photo"), (86, 8, 6))[0]
    view = _view(size, _photo_size(rng), framing, rng)
    picture = desk(kind, view.size, paper, rng)
    traits = [kind, style, framing, *_lay(picture, paper, size, view, style, rng)]
    picture, seen = _taken(picture, rng)
    corners = _corners(view.place, size)
    return DeskPhoto(seed, _saved(picture, rng), view.size, corners, size, view.upright, (*traits, *seen))


def empty_desk(seed: int) -> DeskPhoto:
    """A photo without any sheet: only a desk, or with a hand, a keyboard, a pen or a cup."""
    rng = Random(f"empty desk {seed}")
    kind = (*DESKS, *EMPTY)[seed % len(DESKS + EMPTY)]
    size = _photo_size(rng)
    picture = desk(kind, size, np.full((1, 1, 3), 245, np.uint8), rng)
    things = rng.sample(("hand", "pen", "cup"), rng.randrange(0, 3))
    for thing in things:
        THINGS[thing](picture, (rng.uniform(0.2, 0.8) * size[0], rng.uniform(0.2, 0.8) * size[1]), rng)
    picture, seen = _taken(picture, rng)
    return DeskPhoto(seed, _saved(picture, rng), size, np.empty((0, 2)), (0, 0), 0, (kind, *things, *seen))


def _photo_size(rng: Random) -> tuple[int, int]:
    pixels = rng.choice(MANY_PIXELS) if rng.random() < 0.07 else PIXELS
    long, short = round((pixels * 4 / 3) ** 0.5), round((pixels * 3 / 4) ** 0.5)
    return (short, long) if rng.random() < 0.6 else (long, short)


def _view(page_mm: tuple[float, float], size: tuple[int, int], framing: str, rng: Random) -> View:
    """A pinhole camera above the page: turned, tilted, so near that the page fills a share of the photo."""
    fits = (page_mm[0] < page_mm[1]) == (size[0] < size[1])
    upright = rng.choice((0, 0, 0, 2)) if fits else rng.choice((1, 3))
    turned = rng.gauss(0, 6) if rng.random() < 0.75 else rng.uniform(-30, 30)
    tilt, axis = radians(abs(rng.gauss(0, 11))), rng.uniform(0, 2 * pi)
    if framing == "fills the photo":
        turned, tilt = rng.uniform(-1.5, 1.5), tilt / 3
    share = {"whole": rng.uniform(0.62, 0.97), "corner outside": 1.03, "fills the photo": 1.22}[framing]
    rotation = _tilted(min(tilt, radians(32)), axis) @ _turned(radians(90 * upright + turned))
    place = _placed(page_mm, size, rotation, share, rng)
    return View(place, size, upright, rng.uniform(-1.2, 1.2) if rng.random() < 0.35 else 0)


def _turned(angle: float) -> Map:
    return np.array([(cos(angle), -sin(angle), 0), (sin(angle), cos(angle), 0), (0, 0, 1)])


def _tilted(angle: float, axis: float) -> Map:
    lean = np.array([(1, 0, 0), (0, cos(angle), -sin(angle)), (0, sin(angle), cos(angle))])
    tilted: Map = _turned(axis) @ lean @ _turned(-axis)
    return tilted


def _placed(page_mm: tuple[float, float], size: tuple[int, int], rotation: Map, share: float, rng: Random) -> Map:
    focal, wanted = FOCAL * max(size), share
    lens = np.array([(focal, 0, size[0] / 2), (0, focal, size[1] / 2), (0, 0, 1)])
    centred = np.array([(1, 0, -page_mm[0] / 2), (0, 1, -page_mm[1] / 2), (0, 0, 1)])
    at, aside = np.array([0.0, 0.0, 2.0 * max(page_mm)]), (rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75))
    place = centred
    for _ in range(12):
        place = lens @ np.column_stack((rotation[:, 0], rotation[:, 1], at)) @ centred
        low, high = (act(_corners(place, page_mm), axis=0) for act in (np.min, np.max))
        at[2] *= max((high - low) / size) / wanted
        at[:2] += (np.array(aside) * (size - (high - low)) - low) * at[2] / focal
    return place


def _corners(place: Map, page_mm: tuple[float, float]) -> Points:
    across, down = page_mm
    flat = np.array([(0, 0, 1), (across, 0, 1), (across, down, 1), (0, down, 1)]) @ place.T
    corners: Points = flat[:, :2] / flat[:, 2:]
    return corners


def _lay(
    picture: Pixels, paper: Pixels, page_mm: tuple[float, float], view: View, style: Style, rng: Random
) -> list[str]:
    """Lay the page on the desk, beside or over other things. Returns what lies there."""
    things = [thing for thing, chance in (("second sheet", 0.2), ("pen", 0.2), ("cup", 0.08)) if rng.random() < chance]
    corners = _corners(view.place, page_mm)
    if "second sheet" in things:
        _second_sheet(picture, corners, rng)
    _contact_shadow(picture, corners, rng)
    _warp(picture, paper, page_mm, view)
    for thing in things:
        if thing != "second sheet":
            THINGS[thing](picture, _beside(corners, rng), rng)
    return things + (["curl"] if view.bend else [])


def _warp(picture: Pixels, paper: Pixels, page_mm: tuple[float, float], view: View) -> None:
    """Draw the page into the photo. A curl moves its points, but not its corners."""
    per_mm = paper.shape[1] / page_mm[0]
    back = np.linalg.inv(view.place) * per_mm
    x, y = _projected(back / per_mm, view.size)
    scale = float(np.sqrt(1 / abs(np.linalg.det(view.place[:2, :2])))) * per_mm * view.place[2, 2]
    if view.bend:
        bend = np.float32(view.bend)
        x, y = x + bend * np.sin(y * np.float32(pi / page_mm[1])), y + bend * np.sin(x * np.float32(pi / page_mm[0]))
    x, y = (each * np.float32(per_mm) - np.float32(0.5) for each in (x, y))
    soft = cv2.GaussianBlur(paper, None, 0.35 * scale) if scale > 1.2 else paper
    drawn = cv2.remap(soft, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    white = np.full(paper.shape[:2], 255, np.uint8)
    cover = cv2.remap(white, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    _blend(picture, drawn, cover)


def _projected(back: Map, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The point of the page, in mm, that each pixel shows."""
    columns = np.arange(size[0], dtype=np.float32)[None]
    rows = np.arange(size[1], dtype=np.float32)[:, None]
    x, y, over = (row[0] * columns + (row[1] * rows + row[2]) for row in back.astype(np.float32))
    return x / over, y / over


def _blend(picture: Pixels, other: Pixels, cover: Pixels) -> None:
    """Draw the other picture over this one as far as the mask covers it."""
    share = cv2.merge((cover,) * 3)
    picture[:] = cv2.add(cv2.multiply(picture, 255 - share, scale=1 / 255), cv2.multiply(other, share, scale=1 / 255))


def _contact_shadow(picture: Pixels, corners: Points, rng: Random) -> None:
    """The dark seam at the sheet's edges that are turned from the light."""
    reach = max(picture.shape) * rng.uniform(0.001, 0.004)
    angle, depth = rng.uniform(0, 2 * pi), rng.uniform(0.05, 0.35)
    shifted = corners + reach * np.array([cos(angle), sin(angle)])
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.rint(shifted).astype(np.int32), 255, cv2.LINE_AA)
    dark = 255 - cv2.multiply(cv2.GaussianBlur(mask, None, reach * 0.8), depth)
    picture[:] = cv2.multiply(picture, cv2.merge((dark,) * 3), scale=1 / 255)


def _second_sheet(picture: Pixels, corners: Points, rng: Random) -> None:
    """Another page with lines of text that lies beside the first or partly under it."""
    middle = corners.mean(axis=0)
    towards = _turned(rng.uniform(0, 2 * pi))[:2, 0] * np.ptp(corners, axis=0) * rng.uniform(0.85, 1.15)
    turn = _turned(rng.uniform(-0.35, 0.35))[:2, :2]
    other = (corners - middle) * rng.uniform(0.85, 1.1) @ turn.T + middle + towards
    sheet = np.full((420, 300, 3), rng.randrange(225, 250), np.uint8)
    for line in range(30, 380, 14):
        sheet[line : line + 4, 30 : rng.randrange(200, 270)] = 80
    map_ = cv2.getPerspectiveTransform(
        np.array([(0, 0), (300, 0), (300, 420), (0, 420)], np.float32), other.astype(np.float32)
    )
    _contact_shadow(picture, other, rng)
    cv2.warpPerspective(sheet, map_, picture.shape[1::-1], picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)


def _beside(corners: Points, rng: Random) -> tuple[float, float]:
    """A point at a side of the sheet or outside of it."""
    side, along = rng.randrange(4), rng.uniform(0.1, 0.9)
    on = corners[side] * (1 - along) + corners[(side + 1) % 4] * along
    middle = corners.mean(axis=0)
    x, y = middle + (on - middle) * rng.uniform(1.05, 1.3)
    return float(x), float(y)


def _pen(picture: Pixels, at: tuple[float, float], rng: Random) -> None:
    unit, angle = max(picture.shape) / 300, rng.uniform(0, 2 * pi)
    long, colour = unit * 60, rng.choice(((30, 30, 35), (30, 60, 150), (190, 190, 195), (170, 40, 40)))
    reach = np.array((cos(angle), sin(angle))) * long / 2
    for shift, thick, ink in ((2.0, 5.0, None), (0.0, 4.5, colour), (-0.8, 0.8, (235, 235, 235))):
        start, end = (np.rint(np.array(at) + sign * reach + shift * unit).astype(int).tolist() for sign in (-1, 1))
        mask = np.zeros(picture.shape[:2], np.uint8)
        cv2.line(mask, start, end, 255, max(1, round(thick * unit)), cv2.LINE_AA)
        _cover(picture, mask, ink, unit * 1.5 if ink is None else 0)


def _cover(picture: Pixels, mask: Pixels, ink: Colour | None, soft: float) -> None:
    """Paint the mask in a colour; None: a shadow."""
    left, top, across, down = cv2.boundingRect(mask)
    pad = round(3 * soft)
    rows = slice(max(0, top - pad), top + down + pad)
    columns = slice(max(0, left - pad), left + across + pad)
    part = cv2.GaussianBlur(mask[rows, columns], None, soft) if soft else mask[rows, columns]
    share = part[:, :, None].astype(np.float32) / 255 * (0.45 if ink is None else 1)
    picture[rows, columns] = picture[rows, columns] * (1 - share) + np.array(ink or (0, 0, 0), np.float32) * share


def _cup(picture: Pixels, at: tuple[float, float], rng: Random) -> None:
    unit = max(picture.shape) / 300
    for shift, across, ink in ((5.0, 27, None), (0.0, 26, (240, 240, 238)), (0.0, 22, (70, 45, 30))):
        mask = np.zeros(picture.shape[:2], np.uint8)
        centre = (round(at[0] + shift * unit), round(at[1] + shift * unit))
        cv2.circle(mask, centre, round(across * unit), 255, -1, cv2.LINE_AA)
        _cover(picture, mask, ink, unit * 3 if ink is None else 0)


def _hand(picture: Pixels, at: tuple[float, float], rng: Random) -> None:
    mask = _hand_mask(picture.shape, at, rng.uniform(0, 2 * pi))
    shade = np.roll(mask, (20, 14), (0, 1))
    _cover(picture, shade, None, 18)
    _cover(picture, mask, SKIN, 2)


def _hand_mask(shape: Sequence[int], at: tuple[float, float], angle: float) -> Pixels:
    """A palm, four fingers, and an arm that leaves the photo."""
    unit, mask = max(shape) / 300, np.zeros(shape[:2], np.uint8)
    turn = _turned(angle)[:2, :2]
    parts = [((0, 0), (0, 30), 44), ((0, 30), (0, 300), 30)]
    parts += [((9 * finger - 13, -18), (13 * finger - 20, -62), 11) for finger in range(4)]
    for start, end, thick in parts:
        one, other = (np.rint(np.array(at) + unit * turn @ np.array(p)).astype(int).tolist() for p in (start, end))
        cv2.line(mask, one, other, 255, round(thick * unit), cv2.LINE_AA)
    return mask


THINGS: dict[str, Callable[[Pixels, tuple[float, float], Random], None]] = {"pen": _pen, "cup": _cup, "hand": _hand}


def _taken(picture: Pixels, rng: Random) -> tuple[Pixels, list[str]]:
    """Light, shadows, glare, blur and noise, and their names."""
    light, traits = _light(picture.shape, rng)
    wide = cv2.resize(light.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    lit = cv2.multiply(picture, wide, dtype=cv2.CV_8U)
    if rng.random() < 0.12:
        lit = cv2.add(lit, _glare(picture.shape, rng), dtype=cv2.CV_8U)
        traits.append("glare")
    lit, blurred = _blurred(lit, rng)
    taken: Pixels = cv2.add(lit, noise(lit.shape, rng.uniform(0.8, 3.5), rng), dtype=cv2.CV_8U)
    return taken, traits + blurred


def _light(shape: Sequence[int], rng: Random) -> tuple[Floats, list[str]]:
    """The light on each part of the photo, in a small picture of three channels."""
    small = shape[0] // 8, shape[1] // 8
    rows, columns = np.mgrid[0 : 1 : small[0] * 1j, 0 : 1 : small[1] * 1j].astype(np.float32)
    kind = rng.choices(("even", "falling", "hand shadow", "phone shadow"), (30, 35, 18, 17))[0]
    angle, fall = rng.uniform(0, 2 * pi), rng.uniform(0.3, 0.6) if kind == "falling" else rng.uniform(0, 0.25)
    along = columns * cos(angle) + rows * sin(angle)
    light = 1 - fall * (along - along.min()) / np.ptp(along)
    if kind.endswith("shadow"):
        mask = _shadow(kind, (small[0], small[1]), rng)
        light *= 1 - rng.uniform(0.2, 0.5) * mask
    lamp = np.array([rng.uniform(0.94, 1.0), rng.uniform(0.94, 0.99), rng.uniform(0.82, 1.0)], np.float32)
    return light[:, :, None] * lamp * rng.uniform(0.78, 1.02), [kind]


def _shadow(kind: str, shape: tuple[int, int], rng: Random) -> Floats:
    at = rng.uniform(0.2, 0.8) * shape[1], rng.uniform(0.3, 0.8) * shape[0]
    if kind == "hand shadow":
        mask = _hand_mask(shape, at, rng.uniform(-0.8, 0.8))
    else:
        mask = np.zeros(shape, np.uint8)
        box = cv2.boxPoints((at, (0.45 * max(shape), 0.9 * max(shape)), rng.uniform(-25, 25)))
        cv2.fillConvexPoly(mask, np.rint(box).astype(np.int32), 255, cv2.LINE_AA)
    soft = max(shape) * rng.uniform(0.006, 0.03)
    shadow: Floats = cv2.GaussianBlur(mask, None, soft).astype(np.float32) / 255
    return shadow


def _glare(shape: Sequence[int], rng: Random) -> Floats:
    """A reflection of a lamp, which saturates in its middle."""
    rows, columns = np.mgrid[0 : shape[0] : 8, 0 : shape[1] : 8].astype(np.float32)
    x, y = rng.uniform(0.2, 0.8) * shape[1], rng.uniform(0.2, 0.8) * shape[0]
    across = max(shape) * rng.uniform(0.03, 0.08)
    spot = rng.uniform(90, 220) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * across**2))
    wide = cv2.resize(spot.astype(np.float32), tuple(shape[1::-1]))
    glare: Floats = cv2.merge((wide,) * 3)
    return glare


def _blurred(picture: Pixels, rng: Random) -> tuple[Pixels, list[str]]:
    """As blurred as a photo may be that can still be read."""
    unit, kind = max(picture.shape) / 2000, rng.choices(("sharp", "defocus", "motion"), (60, 22, 18))[0]
    if kind == "motion":
        long, angle = rng.uniform(2.5, 5) * unit, rng.uniform(0, pi)
        kernel = np.zeros((9, 9), np.float32) if long < 7 else np.zeros((19, 19), np.float32)
        middle, reach = len(kernel) // 2, np.array((cos(angle), sin(angle))) * long / 2
        start, end = (np.rint((middle + sign * reach) * 16).astype(int).tolist() for sign in (-1, 1))
        cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA, 4)
        moved: Pixels = cv2.filter2D(picture, -1, kernel / kernel.sum())
        return moved, ["motion"]
    sigma = rng.uniform(0.9, 1.7) if kind == "defocus" else rng.uniform(0.4, 0.8)
    soft: Pixels = cv2.GaussianBlur(picture, None, sigma * unit)
    return soft, [kind] if kind != "sharp" else []


def _saved(picture: Pixels, rng: Random) -> bytes:
    """The photo as JPEG; some are stored on their side, with the orientation in EXIF."""
    exif, made, image = Image.Exif(), BytesIO(), Image.fromarray(picture)
    if rng.random() < 0.15:
        image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
    image.save(made, "JPEG", quality=rng.randrange(62, 94), exif=exif)
    return made.getvalue()


def compared(corners: NDArray[np.floating], photo: DeskPhoto) -> tuple[float, float, float]:
    """The corners' error, the share of the visible sheet that is kept, the share of the scan that is not the sheet."""
    width, height = photo.size
    whole = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    true, taken = overlap(photo.corners, whole), overlap(corners, whole)
    common = area(overlap(photo.corners, taken))
    turns = [np.linalg.norm(np.roll(photo.corners, turn, axis=0) - corners, axis=1).max() for turn in range(4)]
    diagonal = np.linalg.norm(photo.corners[2] - photo.corners[0])
    return float(min(turns) / diagonal), common / area(true), 1 - common / max(area(taken), 1.0)


def overlap(one: NDArray[np.floating], other: NDArray[np.floating]) -> Points:
    _, common = cv2.intersectConvexConvex(one.astype(np.float32), other.astype(np.float32))
    shared: Points = np.zeros((3, 2)) if common is None else common.reshape(-1, 2).astype(np.float64)
    return shared


def area(polygon: Points) -> float:
    return float(abs(cv2.contourArea(polygon.astype(np.float32))))
