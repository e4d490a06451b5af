"""Fixtures for tests of signature: a practitioner who prints, signs, scans and uploads."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from random import Random
from typing import Any

import httpx2
import pypdfium2 as pdfium
import pytest
import pytest_asyncio

from kit.files import blobs
from kit.files.blobs import Bucket
from kit.security.tokens import TokenIssuer
from tests.support.identity_clients import Citizen, Window
from tests.support.people import Person
from tests.support.sheets import scanned, sign
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

OWN = "/api/signature/practitioners/me"
DPI = 200


def rasterised(pdf: bytes, dpi: int = DPI) -> bytes:
    """The first page as printed: a PNG."""
    made = BytesIO()
    pdfium.PdfDocument(pdf)[0].render(scale=dpi / 72).to_pil().save(made, "PNG", compress_level=1)
    return made.getvalue()


def text_of(pdf: bytes) -> str:
    """The text of the first page."""
    return str(pdfium.PdfDocument(pdf)[0].get_textpage().get_text_range())


@dataclass
class Signer:
    """A practitioner at the API of signature."""

    person: Person
    citizen: Citizen

    async def form(self) -> dict[str, Any]:
        response = await self.person.call("POST", f"{OWN}/forms")
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def pdf(self) -> bytes:
        response = await self.person.call("GET", (await self.form())["pdf_url"])
        assert response.status_code == 200, response.text
        return response.content

    async def printed(self) -> bytes:
        """The printed sheet without a signature: a PNG."""
        return rasterised(await self.pdf())

    async def signed(self, rng: Random) -> bytes:
        """The sheet, signed and scanned."""
        return scanned(sign(await self.printed(), rng), rng)[0]

    async def send(self, content: bytes, name: str = "form.jpg", **form: str) -> httpx2.Response:
        files = {"file": (name, content, "image/jpeg")}
        return await self.person.call("POST", f"{OWN}/signature", files=files, data=form)

    async def look(self) -> dict[str, Any]:
        return dict((await self.person.call("GET", f"{OWN}/signature")).raise_for_status().json())

    async def file(self, which: str) -> httpx2.Response:
        return await self.person.call("GET", f"{OWN}/signature/{which}")

    async def verdict(self, within: float = 20) -> dict[str, Any]:
        """The outcome of the last upload."""

        async def judged() -> dict[str, Any] | None:
            found = await self.look()
            return None if found["state"] == "checking" else found

        return await eventually(judged, within, "a verdict") or {}

    async def judged(self, content: bytes) -> dict[str, Any]:
        response = await self.send(content)
        assert response.status_code == 202, response.text
        return await self.verdict()

    async def refusal(self, content: bytes) -> str:
        """The code of the only reason of the refusal."""
        verdict = await self.judged(content)
        assert verdict["state"] == "refused", verdict
        (reason,) = verdict["reasons"]
        return str(reason["code"])


NewSigner = Callable[[], Awaitable[Signer]]


@pytest.fixture
def new_signer(window: Window, gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> NewSigner:
    async def made() -> Signer:
        citizen = await window.registered()
        return Signer(Person(gateway, issuer, citizen.id), citizen)

    return made


@pytest_asyncio.fixture
async def signer(new_signer: NewSigner) -> Signer:
    return await new_signer()


@pytest_asyncio.fixture
async def bucket(stack: RunningStack) -> AsyncIterator[Bucket]:
    async with blobs.connect(stack.blobs("signature")) as opened:
        yield opened
