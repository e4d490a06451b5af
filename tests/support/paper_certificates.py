"""Certificates for photos: A4 pages with a frame, a portrait and a stamp, plain diplomas, covers in one colour."""

from functools import cache
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.support.scans import certificate

Pixels: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]
Style = Literal["framed", "ornate", "simple", "diploma", "cover"]
STYLES: tuple[Style, ...] = ("framed", "ornate", "simple", "diploma", "cover")

PER_MM = 6
A4_MM = (210, 297)
CARD_MM = (85.6, 54.0)
FONT = Path("/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc")
INK = (35, 32, 36)
TITLES = ("毕业证书", "学位证书", "职业资格证书", "技能等级证书", "专业技术资格证书")
TEXT = "经考核合格准予毕业特发此证姓名性别出生年月身份证号专业工程建筑施工管理土木上海市人力资源和社会保障局"
FRAMES: tuple[Colour, ...] = ((160, 35, 40), (180, 140, 60), (40, 70, 140), (50, 110, 80), (60, 60, 60))
PAPERS: tuple[Colour, ...] = ((250, 249, 246), (246, 240, 226), (238, 243, 246), (248, 240, 240))
COVERS: tuple[Colour, ...] = ((150, 24, 32), (28, 52, 110), (110, 20, 40), (20, 80, 70))


@cache
def page(style: Style, variant: int) -> tuple[Pixels, tuple[float, float]]:
    """The page in RGB at 6 pixels per mm, and its size in mm. Odd variants of A4 pages are landscape."""
    chance = Random(f"{style} {variant}")
    if style == "cover":
        picture, size = _cover(chance), CARD_MM
    elif style == "simple":
        picture, size = certificate().resize((A4_MM[0] * PER_MM, A4_MM[1] * PER_MM)), A4_MM
    else:
        size = (A4_MM[1], A4_MM[0]) if variant % 2 else A4_MM
        picture = _written(style, size, chance)
    return np.asarray(picture), size


def _written(style: Style, size: tuple[int, int], chance: Random) -> Image.Image:
    width, height = size[0] * PER_MM, size[1] * PER_MM
    paper = PAPERS[0] if style == "diploma" else chance.choice(PAPERS)
    picture = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(picture)
    if style != "diploma":
        _frame(pen, size, chance.choice(FRAMES), ornate=style == "ornate")
    _title(pen, width, height, chance)
    _lines(pen, width, height, chance, beside=style != "diploma")
    if style != "diploma":
        _portrait(pen, width, height, chance)
    _stamp(picture, (width * chance.uniform(0.55, 0.75), height * 0.8), chance)
    return picture


def _frame(pen: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, *, ornate: bool) -> None:
    """One line, or a wide band of rosettes between two lines, at 8 to 22 mm from the edge."""
    width, height = size[0] * PER_MM, size[1] * PER_MM
    outer, band = (8 * PER_MM, 9 * PER_MM) if ornate else (14 * PER_MM, 2 * PER_MM)
    for inset, thick in ((outer, 8), (outer + band, 5)):
        pen.rectangle((inset, inset, width - inset, height - inset), outline=colour, width=thick)
    if ornate:
        pale = tuple((3 * each + 255) // 4 for each in colour)
        for x in range(outer + band // 2, width - outer, band):
            for y in (outer + band // 2, height - outer - band // 2):
                pen.ellipse((x - 20, y - 20, x + 20, y + 20), outline=pale, width=9)
        for y in range(outer + band // 2, height - outer, band):
            for x in (outer + band // 2, width - outer - band // 2):
                pen.ellipse((x - 20, y - 20, x + 20, y + 20), outline=pale, width=9)


def _title(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    colour = chance.choice((INK, (160, 30, 30)))
    size = 15 * PER_MM if chance.random() < 0.5 else 11 * PER_MM
    pen.text((width / 2, height * 0.17), chance.choice(TITLES), fill=colour, font=_font(size), anchor="mm")


def _lines(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random, *, beside: bool) -> None:
    """Lines of text of 4 mm; `beside`: room is left for a portrait."""
    left, right = width * 0.16, width * 0.84
    font, step = _font(4 * PER_MM), round(9.5 * PER_MM)
    for top in range(round(height * 0.3), round(height * 0.72), step):
        start = width * 0.42 if beside and top < height * 0.52 else left
        length = int((right - start) / (4.2 * PER_MM) * chance.uniform(0.6, 1))
        pen.text((start, top), "".join(chance.choices(TEXT, k=length)), fill=INK, font=font)
    number = f"证书编号：{chance.randrange(10**11, 10**12)}"
    pen.text((left, height * 0.84), number, fill=INK, font=_font(round(3.5 * PER_MM)))


def _portrait(pen: ImageDraw.ImageDraw, width: int, height: int, chance: Random) -> None:
    left, top = width * 0.17, height * 0.3
    across, down = 26 * PER_MM, 34 * PER_MM
    ground = chance.choice(((70, 120, 190), (190, 40, 45), (235, 235, 238)))
    pen.rectangle((left, top, left + across, top + down), fill=ground, outline=(90, 90, 90))
    pen.ellipse((left + across * 0.28, top + down * 0.15, left + across * 0.72, top + down * 0.6), fill=(215, 175, 150))
    pen.pieslice((left, top + down * 0.6, left + across, top + down * 1.4), 180, 360, fill=(40, 45, 60))


def _stamp(picture: Image.Image, middle: tuple[float, float], chance: Random) -> None:
    """A round red stamp of 42 mm, half transparent."""
    across, red = 42 * PER_MM, (205, 35, 45)
    stamp = Image.new("L", (across, across))
    pen, strength = ImageDraw.Draw(stamp), chance.randrange(150, 220)
    pen.ellipse((4, 4, across - 4, across - 4), outline=strength, width=9)
    pen.text((across / 2, across / 2), "★", fill=strength, font=_font(14 * PER_MM), anchor="mm")
    for line, share in enumerate((0.22, 0.78)):
        text = ("上海市建设", "证书专用章")[line]
        pen.text((across / 2, across * share), text, fill=strength, font=_font(5 * PER_MM), anchor="mm")
    at = round(middle[0] - across / 2), round(middle[1] - across / 2)
    picture.paste(Image.new("RGB", stamp.size, red), at, stamp)


def _cover(chance: Random) -> Image.Image:
    """A card in one dark colour with golden text, drawn at 18 pixels per mm: a photo shows it as large as a page."""
    width, height = (round(side * PER_MM * 3) for side in CARD_MM)
    picture = Image.new("RGB", (width, height), chance.choice(COVERS))
    pen, gold = ImageDraw.Draw(picture), (222, 190, 110)
    pen.text((width / 2, height * 0.3), chance.choice(TITLES), fill=gold, font=_font(150), anchor="mm")
    for line in range(3):
        text = "".join(chance.choices(TEXT, k=chance.randrange(8, 16)))
        pen.text((width / 2, height * (0.58 + 0.13 * line)), text, fill=gold, font=_font(64), anchor="mm")
    if chance.random() < 0.5:
        pen.rectangle((70, 70, width - 70, height - 70), outline=gold, width=10)
    return picture


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.truetype(FONT, size) if FONT.exists() else ImageFont.load_default(size)
