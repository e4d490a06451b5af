"""Photos of certificates on desks become scans in Chromium; of photos without a sheet the finder is not certain."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from PIL import Image
from playwright.async_api import Browser, Page

from kit.formats.images import scan
from services.attachments.domain import Rules, judge
from tests.support.desk_photos import DeskPhoto, compared, desk_photo, empty_desk
from tests.support.paper_certificates import CARD_MM, Style, page
from tests.support.scale import scaled
from tests.support.scans import certificate

STATIC = Path(__file__).parents[2] / "services" / "portal" / "static"
FIRST = int(os.environ.get("FIRST_SEED", "1"))
"""The finder was developed with the seeds from 1, and its weights fitted to those from 2001."""
PHOTOS, EMPTY, FLAT = scaled(60, 8), scaled(12, 3), scaled(12, 2)
FEWEST_GOOD = round(PHOTOS * 0.95)
CERTAIN = 0.5
LEAST_KEPT, MOST_DESK = 0.95, 0.08
CSP = "default-src 'none'; script-src 'self'; img-src 'self' data:; connect-src 'self'"
# What a page does: it opens the photo, and a worker finds the sheet, straightens and whitens it.
SCRIPT = """
const worker = new Worker("/sheet_worker.js", { type: "module" });
const ask = (message) => new Promise((done, failed) => {
  worker.onmessage = ({ data }) => (data.error ? failed(new Error(data.error)) : done(data));
  worker.onerror = failed;
  worker.postMessage(message, message.image ? [message.image] : []);
});
const canvas = document.createElement("canvas");
const dpi = 100;

async function jpegOf({ data, width, height }, most) {
  Object.assign(canvas, { width, height }).getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  for (const quality of [0.9, 0.8, 0.7, 0.6, 0.5]) {
    const address = canvas.toDataURL("image/jpeg", quality);
    if (address.length * 0.75 < most) return address.split(",")[1];
  }
}

window.scanOf = async (path, most) => {
  const photo = Object.assign(new Image(), { src: path });
  await photo.decode();
  const found = await ask({ action: "find", image: await createImageBitmap(photo) });
  const { width, height } = found.size;
  const scale = Math.min(297 / Math.max(width, height), 210 / Math.min(width, height)) * dpi / 25.4; // as large as A4
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  const scanned = await ask({ action: "scan", corners: found.corners, ...size });
  return { ...found, jpeg: await jpegOf(scanned.image, most) };
};
"""


@dataclass(frozen=True)
class Result:
    """The scan of a photo: `kept` is the share of the sheet in it, `desk` its share that is not the sheet.

    `paper`: the size for which it was taken. `error`: the largest distance of a corner from the true one, as share of
    the sheet's diagonal. `faults`: codes of the server's reasons and warnings.
    """

    photo: DeskPhoto
    confidence: float
    paper: str | None
    error: float
    kept: float
    desk: float
    kilobytes: float
    faults: list[str]

    @property
    def is_well_cropped(self) -> bool:
        return self.kept >= LEAST_KEPT and self.desk <= MOST_DESK

    @property
    def is_good(self) -> bool:
        return self.is_well_cropped and not self.faults

    @property
    def is_certain(self) -> bool:
        return self.confidence >= CERTAIN

    def __str__(self) -> str:
        mark = "    " if self.is_good else "poor" if self.is_well_cropped or not self.is_certain else "BAD!"
        measures = f"{self.confidence:.2f} error {self.error:.4f} kept {self.kept:.3f} desk {self.desk:.3f}"
        return f"{self.photo.seed:5} {mark} {measures} {self.kilobytes:3.0f} kB {self.faults} {self.photo.traits}"


@contextmanager
def served(photos: dict[str, bytes]) -> Iterator[str]:
    """A server of the page, the portal's scripts and the photos, with the portal's content security policy."""
    own = {"/": (b"<!doctype html><link rel=icon href=data:,><script type=module src=/page.js></script>", "text/html")}
    own["/page.js"] = SCRIPT.encode(), "text/javascript"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = own.get(self.path) or (photos.get(self.path), "image/jpeg")
            content, kind = known if known[0] else ((STATIC / self.path[1:]).read_bytes(), "text/javascript")
            assert content
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", CSP)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@asynccontextmanager
async def opened(chromium: Browser, photos: dict[str, bytes]) -> AsyncIterator[Page]:
    context = await chromium.new_context()
    with served(photos) as address:
        opening = await context.new_page()
        await opening.goto(address)
        await opening.wait_for_function("'scanOf' in window")
        yield opening
        await context.close()


async def results(chromium: Browser, make: Callable[[int], DeskPhoto], count: int) -> list[Result]:
    """The photos of some seeds, made by another thread meanwhile."""
    photos: dict[str, bytes] = {}
    found = []
    async with opened(chromium, photos) as browser_page:
        with ThreadPoolExecutor(1) as maker:
            waiting: list[Future[DeskPhoto]] = [maker.submit(make, seed) for seed in range(FIRST, FIRST + count)]
            for future in waiting:
                photo = await asyncio.wrap_future(future)
                path = f"/{photo.seed}.jpg"
                photos[path] = photo.jpeg
                answer = await browser_page.evaluate(
                    "([path, most]) => scanOf(path, most)", [path, Rules().limit_bytes]
                )
                found.append(result(photo, answer))
                print(found[-1])
                del photos[path]
    return found


def result(photo: DeskPhoto, answer: dict[str, Any]) -> Result:
    corners = np.array(answer["corners"])
    jpeg = with_density(base64.b64decode(answer["jpeg"] or ""))
    verdict = judge(scan(jpeg), Rules())
    faults = [each.code for each in (*verdict.reasons, *verdict.warnings)]
    error, kept, desk = compared(corners, photo) if len(photo.corners) else (0.0, 0.0, 1.0)
    return Result(photo, answer["confidence"], answer["size"]["paper"], error, kept, desk, len(jpeg) / 1024, faults)


def with_density(jpeg: bytes) -> bytes:
    """The JPEG with 100 dpi in its JFIF header."""
    at = jpeg.index(b"JFIF\x00") + 7
    return jpeg[:at] + b"\x01\x00\x64\x00\x64" + jpeg[at + 5 :]


async def test_photos_of_certificates_become_scans_that_are_accepted(chromium: Browser) -> None:
    found = await results(chromium, desk_photo, PHOTOS)
    good, certain = [each for each in found if each.is_good], [each for each in found if each.is_certain]
    print(f"{len(good)} of {PHOTOS} are good; of {len(certain)} the finder is certain")
    assert not [str(each) for each in certain if not each.is_well_cropped]
    assert [each.paper for each in certain] == ["card" if each.photo.page == CARD_MM else "A4" for each in certain]
    assert len(good) >= FEWEST_GOOD, "\n".join(str(each) for each in found if not each.is_good)


def flat(seed: int) -> DeskPhoto:
    """A certificate with a frame that fills its image, as a scanner makes it."""
    styles: tuple[Style | None, ...] = ("framed", "ornate", None)
    style = styles[seed % 3]
    paper = certificate() if style is None else Image.fromarray(page(style, seed // 3)[0])
    picture, made = paper.resize((paper.width * 1000 // paper.height, 1000)), BytesIO()
    picture.save(made, "JPEG", quality=80)
    return DeskPhoto(seed, made.getvalue(), picture.size, np.empty((0, 2)), (0, 0), 0, ("flat", style or "scan"))


async def test_the_frame_of_a_certificate_that_fills_its_image_is_not_its_edge(chromium: Browser) -> None:
    found = await results(chromium, flat, FLAT)
    assert not [str(each) for each in found if each.is_certain]


async def test_photos_without_a_sheet_are_doubtful(chromium: Browser) -> None:
    found = await results(chromium, empty_desk, EMPTY)
    assert not [str(each) for each in found if each.is_certain]
