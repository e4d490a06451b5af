"""A signature sheet from scanners and phones: found, straightened, read, and its box cut out."""

import subprocess
import sys
from random import Random

import cv2
import numpy as np
import pytest

from kit.formats.images import BadImage
from kit.formats.sheets import SheetReader, read
from kit.sandbox.pool import Limits, Sandbox
from tests.attachments.corpus import many_scans
from tests.support.scale import scaled
from tests.support.sheets import A4, PENS, drawn, opened, photograph, png, scanned, sign

TEXT = "QM1" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2
PAGES = scaled(100, 10)
PER_MM = 200 / 25.4
LEAST_INK_MM2 = 6  # the product's threshold between the two: both populations stay far from it
OFF = 0.03


@pytest.fixture
def rng() -> Random:
    seed = Random().randrange(10**6)
    print("seed", seed)
    return Random(seed)


def taken(page: bytes, rng: Random, number: int, hidden: int | None = None) -> bytes:
    if number % 3 == 0:
        return scanned(page, rng, fold=number % 4 == 0, hidden=hidden)[0]
    return photograph(page, rng, fold=number % 4 == 0, hidden=hidden)[0]


def off(signed: bytes, cut: bytes) -> float:
    """The distance of nearly all of the cut's ink from where it was written, as a share of the box's height."""
    box, (height, width) = A4.cut, opened(cut).shape[:2]
    top, left = round(box.top * PER_MM), round(box.left * PER_MM)
    written = opened(signed)[top : top + height, left : left + width].min(axis=2) < 200
    distances = cv2.distanceTransform((~written).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.percentile(distances[opened(cut)[:, :, 3] > 100], 98) / height)


def test_signed_pages_are_read_and_cut_at_any_orientation(rng: Random) -> None:
    empty, unread = drawn(TEXT), list[int]()
    for number in range(PAGES):
        page = sign(empty, rng, pen=rng.choice(list(PENS)))
        hidden = rng.randrange(4) if number % 5 == 0 else None
        sheet = read(taken(page, rng, number, hidden=hidden), A4)
        if sheet.text is None or sheet.cut is None:
            unread.append(number)
            continue
        assert sheet.text == TEXT
        assert sheet.cut.ink_mm2 > 2 * LEAST_INK_MM2, (number, sheet.cut.ink_mm2)
        assert off(page, sheet.cut.image) <= OFF, number
    assert len(unread) <= PAGES * 0.05, unread


def test_a_box_is_cut_out_to_a_hundredth_of_it_though_a_marker_is_hidden(rng: Random) -> None:
    blots = [(8, 8), (132, 8), (132, 52), (8, 52)]
    page = opened(drawn(TEXT))
    for x, y in blots:
        middle = round((A4.cut.left + x) * PER_MM), round((A4.cut.top + y) * PER_MM)
        cv2.circle(page, middle, round(2 * PER_MM), (40, 30, 30), -1)
    for number in range(scaled(40, 12)):
        photo, _ = photograph(png(page), rng, pixels=2_000_000, share=(0.85, 0.95), hidden=number % 4)
        cut = read(photo, A4).cut
        assert cut is not None, number
        inked = (opened(cut.image)[:, :, 3] > 100).astype(np.uint8)
        _, _, _, middles = cv2.connectedComponentsWithStats(inked)
        distances = [np.hypot(*(middles[1:] / PER_MM - blot).T).min() for blot in blots]
        assert max(distances) < A4.cut.height / 100, (number, distances)


def test_empty_boxes_have_no_ink(rng: Random) -> None:
    empty = drawn(TEXT)
    for number in range(PAGES):
        cut = read(taken(empty, rng, number), A4).cut
        assert cut is None or cut.ink_mm2 < LEAST_INK_MM2 / 2, (number, cut.ink_mm2)


def test_nothing_is_found_on_a_page_that_is_not_our_sheet(rng: Random) -> None:
    assert read(scanned(drawn(None), rng)[0], A4).text is None
    foreign = read(scanned(drawn("https://example.org/"), rng)[0], A4)
    assert foreign.text == "https://example.org/"
    blank = cv2.imencode(".jpg", np.full((1169, 827, 3), 255, np.uint8))[1].tobytes()
    assert read(blank, A4) == read(blank, A4)
    assert (read(blank, A4).text, read(blank, A4).cut) == (None, None)


def test_a_cut_is_the_whole_box_with_ink_only(rng: Random) -> None:
    sheet = read(scanned(sign(drawn(TEXT), rng, pen="blue"), rng)[0], A4)
    assert sheet.cut is not None
    cut = opened(sheet.cut.image)
    assert cut.shape == (round(A4.cut.height * PER_MM), round(A4.cut.width * PER_MM), 4)
    blue, _, red = cut[cut[:, :, 3] > 128][:, :3].mean(axis=0)
    assert blue > red, "the ink keeps its colour"
    edge = np.concatenate(
        [cut[:8, :, 3].ravel(), cut[-8:, :, 3].ravel(), cut[:, :8, 3].ravel(), cut[:, -8:, 3].ravel()]
    )
    assert edge.max() == 0, "the printed line is not part of it"
    assert not sheet.cut.touches_border


def test_ink_that_crosses_the_line_touches_the_border(rng: Random) -> None:
    page = opened(drawn(TEXT))
    top, left = round((A4.cut.top + 20) * PER_MM), round((A4.cut.left + 100) * PER_MM)
    cv2.line(page, (left, top), (left + round(60 * PER_MM), top + 40), (40, 30, 30), 5)
    cut = read(scanned(cv2.imencode(".png", page)[1].tobytes(), rng)[0], A4).cut
    assert cut is not None
    assert cut.touches_border


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "not_jpeg"), (b"\xff\xd8\xff", "damaged"), (b"\xff\xd8\xff" + bytes(5_000), "damaged")],
)
async def test_a_file_that_is_not_an_image_is_refused(content: bytes, code: str) -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(BadImage) as caught:
            await SheetReader(sandbox).read(content, A4)
    assert caught.value.code == code


async def test_large_photos_fit_the_sandbox_and_bombs_are_refused(rng: Random) -> None:
    page = sign(drawn(TEXT), rng)
    photo, _ = photograph(page, rng, pixels=24_500_000, quality=80)
    async with Sandbox() as sandbox:
        sheets = SheetReader(sandbox)
        sheet = await sheets.read(photo, A4)
        assert sheet.text == TEXT
        assert sheet.cut is not None
        with pytest.raises(BadImage, match="too_many_pixels"):
            await sheets.read(many_scans(6_000, 1), A4)
        with pytest.raises(BadImage, match="damaged"):
            await sheets.read(photo[: len(photo) // 2], A4)


async def test_a_process_that_has_read_many_still_has_memory_to_spare(rng: Random) -> None:
    """The largest photo that is decoded at full size takes the most; memory kept after one is missing for the next."""
    photo, _ = photograph(drawn(TEXT), rng, pixels=12_600_000, quality=80)
    async with Sandbox(limits=Limits(memory_bytes=480 * 1024 * 1024)) as sandbox:
        for _ in range(4):
            assert (await SheetReader(sandbox).read(photo, A4)).cut is not None


def test_only_a_process_that_reads_sheets_loads_the_libraries() -> None:
    program = "import sys, kit.formats.sheets; print(*{'cv2', 'numpy', 'zxingcpp', 'PIL'} & sys.modules.keys())"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == ""
    )
