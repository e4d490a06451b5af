"""All of a person's data as one ZIP, streamed: at most one image is in memory at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from kit.core.clock import SHANGHAI
from services.portal.client.backend import Refused
from services.portal.client.practitioner import PractitionerClient
from services.portal.dossier.contents import Dossier


@dataclass(frozen=True)
class ExportImage:
    """An image: its path in the ZIP, its id in the data, and the call that fetches it."""

    path: str
    id: str
    fetch: Callable[[PractitionerClient], Awaitable[bytes]]


def images_of(dossier: Dossier) -> list[ExportImage]:
    """The portrait, the signature and accepted scans, which are numbered like their records in the list of the kind."""
    scans = [image for kind in dossier.kinds for image in _scans(dossier, kind)]
    return [ExportImage("portrait.jpg", "portrait", PractitionerClient.portrait), *scans, *_signature(dossier)]


def _scans(dossier: Dossier, kind: str) -> list[ExportImage]:
    attachments = [record.attachment for record in dossier.records if record.kind == kind]
    accepted = [
        (number, one.attachment_id) for number, one in enumerate(attachments, 1) if one and one.state == "accepted"
    ]
    return [ExportImage(f"scans/{kind}-{number}.jpg", scan, _scan(scan)) for number, scan in accepted]


def _scan(attachment_id: str) -> Callable[[PractitionerClient], Awaitable[bytes]]:
    return lambda client: client.scan_image(attachment_id, "image")


def _signature(dossier: Dossier) -> list[ExportImage]:
    if not (dossier.signature and dossier.signature.accepted):
        return []
    names = {"scan": "signature/form.jpg", "image": "signature/signature.png"}
    accepted = dossier.signature.accepted
    return [ExportImage(path, accepted.signature_id, _of_signature(which)) for which, path in names.items()]


def _of_signature(which: str) -> Callable[[PractitionerClient], Awaitable[bytes]]:
    return lambda client: client.signature_image(which)


async def export_zip(
    texts: Mapping[str, bytes],
    images: Sequence[ExportImage],
    refreshed_client: Callable[[], Awaitable[PractitionerClient]],
    at: datetime,
) -> AsyncIterator[bytes]:
    """The ZIP in pieces; `refreshed_client` returns a client whose token is valid for the next image.

    An error of a service breaks it off, so a ZIP that can be opened is complete.
    """
    buffer = _Buffer()
    with ZipFile(buffer, "w") as archive:
        for path, text in texts.items():
            archive.writestr(_entry(path, at), text, ZIP_DEFLATED)
        yield buffer.taken()
        for image in images:
            content = await _fetched(image, await refreshed_client())
            if content is not None:
                archive.writestr(_entry(image.path, at), content, ZIP_STORED)
                yield buffer.taken()
    yield buffer.taken()


def _entry(path: str, at: datetime) -> ZipInfo:
    return ZipInfo(path, at.astimezone(SHANGHAI).timetuple()[:6])


async def _fetched(image: ExportImage, client: PractitionerClient) -> bytes | None:
    """The image; None if there is no portrait, or if the scan was just deleted."""
    try:
        return await image.fetch(client)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


class _Buffer:
    """A write-only file for `ZipFile`, which can't seek in it."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, piece: bytes) -> int:
        self._written += piece
        return len(piece)

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def taken(self) -> bytes:
        """Remove and return what was written since the last call."""
        piece = bytes(self._written)
        self._written.clear()
        return piece
