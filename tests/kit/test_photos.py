"""Photos of certificates become scans in the sandbox's own process; the finder agrees with the portal's scripts."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageOps

from kit.formats.images import BadImage, Format, format_of, jfif_density, prepare, scan
from kit.formats.photos.correction import CERTAIN, Correction, Photos, ScanLimits, correct
from kit.formats.photos.finder import Sheet, find_sheet
from kit.sandbox.pool import Limits, Sandbox
from services.attachments.domain import Rules, judge
from tests.support import scans
from tests.support.desk_photos import DeskPhoto, compared, desk_photo, empty_desk
from tests.support.paper_certificates import Pixels
from tests.support.scale import scaled

STATIC = Path(__file__).parents[2] / "services" / "portal" / "static"
FIRST = int(os.environ.get("FIRST_SEED", "1"))
"""The finder was developed with the seeds from 1, and its weights fitted to those from 2001."""
PHOTOS, HELD_OUT, EMPTY, COMPARED = scaled(60, 6), scaled(60, 2), scaled(12, 2), scaled(20, 2)
HELD_OUT_SEED = 5001
LEAST_KEPT, MOST_DESK = 0.95, 0.08
LIMITS = ScanLimits(300 * 1024, 72, 100)
SANDBOX = Limits(cpu_seconds=5)
SCRIPT = """
import { findSheet } from "./sheet.js";
import { readFileSync } from "node:fs";
const [path, width, height] = process.argv.slice(2);
const data = new Uint8ClampedArray(readFileSync(path));
const { corners, confidence } = findSheet({ data, width: +width, height: +height });
console.log(JSON.stringify({ corners, confidence }));
"""


@pytest.fixture(autouse=True)
def pillow() -> None:
    prepare()


@dataclass(frozen=True)
class Result:
    """What was made of a photo, and what the check of scans says of it."""

    photo: DeskPhoto
    made: Correction
    sheet: Sheet
    faults: list[str]

    @property
    def is_right(self) -> bool:
        """Whether nearly all of the sheet and little of the desk was cut out."""
        _, kept, desk = compared(self.sheet.corners, self.photo)
        return kept >= LEAST_KEPT and desk <= MOST_DESK

    @property
    def is_good(self) -> bool:
        return not self.faults and (self.is_right or not self.made.cropped)

    def __str__(self) -> str:
        error, kept, desk = compared(self.sheet.corners, self.photo) if len(self.photo.corners) else (0, 0, 1)
        mark = "whole" if not self.made.cropped else "right" if self.is_right else "WRONG"
        return (
            f"{self.photo.seed:5} {mark} {self.sheet.confidence:.2f} error {error:.4f} kept {kept:.3f} desk {desk:.3f} "
            f"{len(self.made.image) // 1024:3} kB {self.made.dpi} dpi {self.faults} {self.photo.traits}"
        )


def results(photos: Iterator[DeskPhoto]) -> list[Result]:
    found = [result(photo) for photo in photos]
    print(*found, sep="\n")
    return found


def result(photo: DeskPhoto) -> Result:
    made = correct(photo.jpeg, LIMITS)
    assert len(made.image) < LIMITS.limit_bytes
    density = jfif_density(made.image)
    assert density is not None
    assert (density.across, density.down) == (made.dpi, made.dpi)
    verdict = judge(scan(made.image), Rules())
    faults = [each.code for each in (*verdict.reasons, *verdict.warnings)]
    return Result(photo, made, find_sheet(pixels_of(photo.jpeg)), faults)


def pixels_of(jpeg: bytes) -> Pixels:
    return np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(jpeg))).convert("RGB"))


@pytest.mark.parametrize(("first", "count"), [(FIRST, PHOTOS), (HELD_OUT_SEED, HELD_OUT)], ids=["known", "held out"])
def test_photos_of_certificates_become_scans_that_are_accepted(first: int, count: int) -> None:
    found = results(desk_photo(seed) for seed in range(first, first + count))
    good = [each for each in found if each.is_good]
    cropped = [each for each in found if each.made.cropped]
    print(f"{len(good)} of {count} are good; {len(cropped)} were cropped")
    assert not [str(each) for each in cropped if not each.is_right]
    assert len(good) >= round(count * 0.95)
    assert len(cropped) >= count * 0.7


def test_nothing_is_cut_out_of_photos_without_a_sheet() -> None:
    found = results(empty_desk(seed) for seed in range(FIRST, FIRST + EMPTY))
    assert not [str(each) for each in found if each.made.cropped]


@pytest.mark.skipif(shutil.which("node") is None, reason="this machine has no Node.js")
def test_the_finder_agrees_with_the_portals_scripts(tmp_path: Path) -> None:
    for file in STATIC.glob("sheet*.js"):
        shutil.copy(file, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "find.js").write_text(SCRIPT)
    for seed in range(FIRST, FIRST + COMPARED):
        pixels = pixels_of(desk_photo(seed).jpeg)
        own, other = find_sheet(pixels), found_by_script(tmp_path, pixels)
        assert (own.confidence >= CERTAIN) == (other.confidence >= CERTAIN), seed
        if own.confidence >= CERTAIN:
            off = np.linalg.norm(own.corners - other.corners, axis=1).max() / max(pixels.shape)
            print(f"{seed} off by {off:.5f}, confidence {own.confidence:.3f} and {other.confidence:.3f}")
            assert off < 0.005, seed


def found_by_script(folder: Path, pixels: Pixels) -> Sheet:
    (folder / "photo").write_bytes(np.dstack((pixels, np.full(pixels.shape[:2], 255, np.uint8))).tobytes())
    height, width = pixels.shape[:2]
    command = ["node", "find.js", "photo", str(width), str(height)]
    printed = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)
    return Sheet(np.array(printed["corners"]), printed["confidence"])


def drawn(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A page with lines of text on a brown desk; with transparency the desk is transparent."""
    picture = np.full((height, width, 3), (110, 80, 55), np.uint8)
    top, left = height // 8, width // 8
    picture[top:-top, left:-left] = 244
    picture[2 * top : -2 * top : height // 40, 2 * left : -2 * left] = 30
    made = Image.fromarray(picture).convert(mode)
    if mode == "RGBA":
        made.putalpha(Image.fromarray((picture[..., 0] != 110).astype(np.uint8) * 255))
    return made


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    made = BytesIO()
    picture.save(made, kind, **options)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_format_of_images_becomes_a_scan(kind: str) -> None:
    made = correct(saved(drawn(900, 1200), kind), LIMITS)
    assert made.cropped
    assert made.height / made.width == pytest.approx(4 / 3, rel=0.02)
    assert judge(scan(made.image), Rules()).reasons == []


def test_transparent_parts_are_white() -> None:
    made = correct(saved(drawn(900, 1200, "RGBA"), "PNG"), LIMITS)
    assert np.asarray(Image.open(BytesIO(made.image)))[3, 3].min() >= 245


async def test_a_jpeg_of_48_megapixels_becomes_a_scan_in_the_sandbox() -> None:
    for options in ({}, {"progressive": True}):
        photo = saved(drawn(6000, 8000), "JPEG", quality=70, **options)
        async with Sandbox(limits=SANDBOX) as sandbox:
            made = await Photos(sandbox).correct(photo, LIMITS)
        assert made.cropped


def test_a_photo_is_upright_as_its_orientation_demands() -> None:
    upright = drawn(900, 1200)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    made, plain = correct(turned, LIMITS), correct(saved(upright, "JPEG", quality=95), LIMITS)
    assert (made.width, made.height) == pytest.approx((plain.width, plain.height), abs=2)
    assert made.cropped


def test_a_scan_with_a_plausible_density_is_only_resized() -> None:
    made = correct(scans.scan(300, quality=80), LIMITS)
    assert (made.cropped, made.dpi) == (False, 100)
    assert (made.width, made.height) == pytest.approx((210 / 25.4 * 100, 297 / 25.4 * 100), abs=2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"\xff\xd8\xff" + bytes(5_000),
        saved(drawn(900, 1200), "JPEG")[:-4_000],
        saved(drawn(900, 1200), "PNG")[:-2_000],
    ],
    ids=["empty", "text", "zeros", "cut JPEG", "cut PNG"],
)
def test_a_file_that_is_no_image_or_damaged_is_refused(content: bytes) -> None:
    with pytest.raises(BadImage) as caught:
        correct(content, LIMITS)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize(("kind", "size"), [("PNG", (5_100, 5_000)), ("JPEG", (8_100, 8_000))])
def test_an_image_of_too_many_pixels_is_refused(kind: str, size: tuple[int, int]) -> None:
    with pytest.raises(BadImage) as caught:
        correct(saved(Image.new("L", size), kind), LIMITS)
    assert caught.value.code == "too_many_pixels"


def test_the_smallest_image_is_no_sheet() -> None:
    assert correct(saved(Image.new("RGB", (1, 1)), "PNG"), LIMITS).cropped is False


def test_noise_is_no_sheet_and_becomes_small_enough() -> None:
    noise = np.frombuffer(Random(1).randbytes(1000 * 1400 * 3), np.uint8).reshape(1400, 1000, 3)
    made = correct(saved(Image.fromarray(noise), "JPEG"), LIMITS)
    assert (made.cropped, len(made.image) < LIMITS.limit_bytes) == (False, True)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"RIFF\0\0\0\0WEBP", "webp"),
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"%PDF-1.7", "pdf"),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_the_format_of_a_file_is_seen_by_its_first_bytes(content: bytes, kind: Format | None) -> None:
    assert format_of(content) == kind
