"""A full disk: each server of the sweep's stack has its data on a small file system of its own."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


@asynccontextmanager
async def full(folder: Path) -> AsyncIterator[None]:
    """Fill the file system of a server's folder to the last byte."""
    ballast = folder / "ballast"
    try:
        await asyncio.to_thread(_fill, ballast)
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _fill(path: Path) -> None:
    if not path.parent.is_mount():
        raise RuntimeError(f"{path.parent} has no file system of its own, and that of this machine is not filled")
    with path.open("wb", buffering=0) as file:
        room = os.statvfs(path)
        with suppress(OSError):  # the server may have taken some of it
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)
        with suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
