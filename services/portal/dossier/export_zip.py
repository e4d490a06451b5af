"""All of a person's data as one ZIP, made while it is sent: no more than one picture is held at a time."""

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
    """A picture: where it lies in the parcel, what the data call it, and how it is asked for."""

    path: str
    id: str
    ask: Callable[[PractitionerClient], Awaitable[bytes]]


def images_of(file: Dossier) -> list[ExportImage]:
    """The portrait, accepted scans (named by the number of their record in the list of its kind), the signature."""
    scans = [picture for kind in file.kinds for picture in _scans(file, kind)]
    return [ExportImage("portrait.jpg", "portrait", PractitionerClient.portrait), *scans, *_signature(file)]


def _scans(file: Dossier, kind: str) -> list[ExportImage]:
    mine = [record.attachment for record in file.records if record.kind == kind]
    accepted = [(number, one.attachment_id) for number, one in enumerate(mine, 1) if one and one.state == "accepted"]
    return [ExportImage(f"scans/{kind}-{number}.jpg", scan, _scan(scan)) for number, scan in accepted]


def _scan(attachment_id: str) -> Callable[[PractitionerClient], Awaitable[bytes]]:
    return lambda own: own.picture(attachment_id, "image")


def _signature(file: Dossier) -> list[ExportImage]:
    if not (file.signature and file.signature.accepted):
        return []
    names, found = {"scan": "signature/form.jpg", "image": "signature/signature.png"}, file.signature.accepted
    return [ExportImage(path, found.signature_id, _of_signature(which)) for which, path in names.items()]


def _of_signature(which: str) -> Callable[[PractitionerClient], Awaitable[bytes]]:
    return lambda own: own.signature_picture(which)


async def export_zip(
    texts: Mapping[str, bytes],
    pictures: Sequence[ExportImage],
    own: Callable[[], Awaitable[PractitionerClient]],
    at: datetime,
) -> AsyncIterator[bytes]:
    """The ZIP, piece by piece; `own` gives the file with a token that lasts for the next picture.

    What can't be read ends it with that error: a parcel that looks whole is whole.
    """
    begun = _Pieces()
    with ZipFile(begun, "w") as archive:
        for path, content in texts.items():
            archive.writestr(_entry(path, at), content, ZIP_DEFLATED)
        yield begun.taken()
        for picture in pictures:
            seen = await _seen(picture, await own())
            if seen is not None:
                archive.writestr(_entry(picture.path, at), seen, ZIP_STORED)
                yield begun.taken()
    yield begun.taken()


def _entry(path: str, at: datetime) -> ZipInfo:
    return ZipInfo(path, at.astimezone(SHANGHAI).timetuple()[:6])


async def _seen(picture: ExportImage, own: PractitionerClient) -> bytes | None:
    """None when there is none: no portrait was taken, or the scan was deleted this moment."""
    try:
        return await picture.ask(own)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


class _Pieces:
    """What a ZIP is written into: it can't be gone back in."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, piece: bytes) -> int:
        self._written += piece
        return len(piece)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        piece = bytes(self._written)
        self._written.clear()
        return piece
