"""Hostile images: nothing in them reaches a viewer, and they may crash only the process that decodes them."""

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from io import BytesIO
from random import Random

import psutil
import pytest
import pytest_asyncio
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kit.core.errors import Unavailable
from kit.formats.images import BadImage, Density, Images, Size, prepare, probe, reencode, scan
from kit.sandbox.pool import Limits, Sandbox, TooCostly
from tests.support.sandbox_jobs import HERE, burn, crash, hoard, sleep
from tests.support.scans import pixels
from tests.support.scans import scan as drawn
from tests.support.waiting import eventually

MARK = b"<script>alert(document.domain)</script>"
SIZE_AT = 5  # in a frame header: marker, length, precision, height, width


def jpeg(size: tuple[int, int] = (358, 441), mode: str = "RGB", **options: object) -> bytes:
    """A JPEG that is not of one colour, so that its scan has some bytes."""
    noise = Image.frombytes("L", size, Random(7).randbytes(size[0] * size[1]))
    made = BytesIO()
    noise.convert(mode).save(made, "JPEG", **options)
    return made.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A small file whose header claims this size."""
    made = jpeg()
    frame = made.index(b"\xff\xc0")
    return made[: frame + SIZE_AT] + struct.pack(">HH", height, width) + made[frame + SIZE_AT + 4 :]


def opened(content: bytes) -> Image.Image:
    picture = Image.open(BytesIO(content))
    picture.load()
    return picture


@pytest_asyncio.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(limits=Limits(cpu_seconds=1, seconds=60), readable=(HERE,)) as made:
        yield made


@pytest.fixture(scope="module")
def images(sandbox: Sandbox) -> Images:
    return Images(sandbox)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"mode": "L"}, {"mode": "CMYK"}, {"exif": b"Exif\0\0" + b"x" * 9000}]
)
async def test_an_image_keeps_its_content(images: Images, options: dict[str, object]) -> None:
    content = jpeg(**options)  # type: ignore[arg-type]
    assert probe(content) == Size(358, 441)
    with opened(await images.reencode(content, 600)) as clean:
        assert (clean.format, clean.mode, clean.size) == ("JPEG", "RGB", (358, 441))


async def test_a_big_picture_is_made_smaller(images: Images) -> None:
    with opened(await images.reencode(jpeg((2000, 3000)), 600)) as clean:
        assert clean.size == (400, 600)


async def test_a_rotated_image_is_put_upright(images: Images) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    with opened(await images.reencode(jpeg((300, 200), exif=turned), 600)) as clean:
        assert clean.size == (200, 300)
        assert not clean.getexif()


async def test_everything_but_the_pixels_is_removed(images: Images) -> None:
    exif = Image.Exif()
    exif[0x010E] = MARK.decode()
    exif[0x8825] = {1: "N", 2: (31.0, 14.0, 0.0)}
    content = jpeg(exif=exif, comment=MARK, icc_profile=MARK * 9, xmp=MARK) + b"PK\x03\x04" + MARK
    assert content.count(MARK) > 10
    clean = await images.reencode(content, 600)
    assert MARK not in clean
    assert b"PK" not in clean[-60:]
    with opened(clean) as picture:
        assert not {"exif", "comment", "icc_profile", "xmp"} & picture.info.keys()


def test_a_file_that_is_not_a_jpeg_is_refused_by_its_first_bytes() -> None:
    png = BytesIO()
    Image.new("RGB", (9, 9)).save(png, "PNG", pnginfo=PngInfo())
    for content in (b"", b"\xff", png.getvalue(), b"GIF89a", b"%PDF-1.7", MARK, b"\xd8\xff" + jpeg()):
        with pytest.raises(BadImage) as caught:
            probe(content)
        assert caught.value.code == "not_jpeg"


@pytest.mark.parametrize(("width", "height"), [(65_500, 65_500), (5_001, 5_000), (65_535, 400)])
def test_an_image_whose_header_claims_a_huge_size_is_not_decoded(width: int, height: int) -> None:
    with pytest.raises(BadImage) as caught:
        probe(claiming(width, height))
    assert caught.value.code == "too_many_pixels"


async def test_a_file_with_two_frame_headers_is_refused(images: Images) -> None:
    """Otherwise a check of the first frame header could pass an image that is decoded by the second."""
    big, small = claiming(60_000, 60_000), jpeg()
    frame = slice(big.index(b"\xff\xc0"), big.index(b"\xff\xc0") + 19)
    twice = small[: frame.start] + small[frame] + big[frame.start :]
    with pytest.raises(BadImage):
        await images.reencode(twice, 600)


async def test_a_damaged_image_is_refused_and_the_sandbox_goes_on(images: Images) -> None:
    content, chance = jpeg(), Random(11)
    frame = content.index(b"\xff\xc0")
    broken = [content[:length] for length in (3, 30, frame + 4, len(content) // 2)]
    broken += [
        claiming(0, 441),
        claiming(358, 0),
        content[:2] + b"\xff\xda" + content[2:],
        b"\xff\xd8\xff\xe0\x00\x00" * 99,
    ]
    for picture in broken:
        with pytest.raises(BadImage):
            await images.reencode(picture, 600)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(chance.randrange(1, 30)):
            damaged[chance.randrange(3, len(damaged))] = chance.randrange(256)
        with suppress(BadImage), opened(await images.reencode(bytes(damaged), 600)) as clean:
            assert max(clean.size) <= 600


async def test_exceeding_the_limits_is_the_fault_of_the_input_and_the_next_one_is_processed(sandbox: Sandbox) -> None:
    for work in (burn, crash):
        with pytest.raises(TooCostly):
            await sandbox.run(work)
        assert await sandbox.run(os.getpid) != os.getpid()
    with pytest.raises(MemoryError):
        await sandbox.run(hoard)


async def test_a_hanging_process_is_a_transient_error() -> None:
    async with Sandbox(limits=Limits(seconds=3), readable=(HERE,)) as hanging:
        with pytest.raises(Unavailable):
            await hanging.run(sleep)


async def test_a_killed_process_is_a_transient_error(sandbox: Sandbox) -> None:
    pid = await sandbox.run(os.getpid)
    working = asyncio.create_task(sandbox.run(sleep))
    await asyncio.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable):
        await working
    idle = await sandbox.run(os.getpid)
    os.kill(idle, signal.SIGKILL)

    async def works_again() -> bool:
        try:
            return await sandbox.run(os.getpid) != idle
        except Unavailable:
            return False

    await eventually(works_again, 10, "another process took its place")


async def test_many_pictures_at_once_are_all_made(images: Images) -> None:
    made = await asyncio.gather(*(images.reencode(jpeg((40 + n, 40)), 600) for n in range(30)))
    assert [opened(one).width for one in made] == list(range(40, 70))


async def test_the_process_is_small_and_starts_on_demand() -> None:
    async with Sandbox() as fresh:
        before = len(psutil.Process().children(recursive=True))
        pid = await fresh.run(os.getpid)
        await Images(fresh).reencode(jpeg(), 600)
        assert psutil.Process(pid).memory_info().rss < 60e6
    assert not psutil.pid_exists(pid)
    assert len(psutil.Process().children(recursive=True)) == before


async def test_processes_that_do_something_first_start_before_they_are_needed() -> None:
    before = set(psutil.Process().children())
    async with Sandbox(workers=2, first=prepare) as fresh:
        await eventually(lambda: imported(before), 10, "both have imported what decodes", pause=0.1)
        known = {child.pid for child in psutil.Process().children()}
        assert await fresh.run(os.getpid) in known


async def imported(before: set[psutil.Process]) -> bool:
    """Whether two new processes have loaded Pillow's library."""
    new = [child for child in psutil.Process().children() if child not in before]
    return sum(any("_imaging" in each.path for each in child.memory_maps()) for child in new) == 2


def test_the_functions_of_the_sandbox_run_without_it() -> None:
    with opened(reencode(jpeg(), 100, 85)) as clean:
        assert clean.height == 100


def test_a_scan_is_measured_by_its_header_and_its_pixels() -> None:
    found = scan(drawn(72))
    assert (found.size, found.density) == (Size(*pixels(72)), Density(72, 72, 0.5))
    assert scan(drawn(density=(100, 72))).density == Density(100, 72, 0.5)
    assert scan(drawn(density=(0, 0))).density is None
    assert scan(drawn(dark=0.2)).brightness < 70 < found.brightness
    assert scan(drawn(blur=5)).sharpness < 0.2 < 0.6 < found.sharpness
    assert scan(jpeg((1, 1))).sharpness == 0


def test_the_density_of_exif_counts_where_jfif_has_none() -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 40.0, 40.0, 3
    with_both = drawn(density=(90, 90), exif=exif)
    assert scan(with_both).density == Density(90, 90, 0.5)
    unsaid = with_both.replace(b"JFIF\x00\x01\x01\x01\x00\x5a\x00\x5a", b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01")
    assert scan(unsaid).density == Density(101.6, 101.6, 1.27)
    del exif[0x011B]
    assert scan(drawn(density=(0, 0), exif=exif)).density is None


def test_the_pictures_of_a_scan_are_clean_and_upright() -> None:
    turned = Image.Exif()
    turned[0x0112], turned[0x010E] = 6, MARK.decode()
    made = scan(drawn(72, exif=turned, comment=MARK) + MARK)
    for content, longest in ((made.image, 842), (made.thumbnail, 240)):
        assert MARK not in content
        with opened(content) as picture:
            assert (picture.width, picture.mode) == (longest, "RGB")
            assert picture.width > picture.height


def test_a_truncated_scan_is_damaged() -> None:
    content = drawn(72)
    for length in (200, len(content) // 3, len(content) * 9 // 10):
        with pytest.raises(BadImage) as caught:
            scan(content[:length])
        assert caught.value.code == "damaged"
