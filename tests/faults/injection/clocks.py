"""Wrong clocks of our own processes: each runs with deploy/local/clock.c, and a file that says by how much it is off.

The monotonic clock stays right, as when an administrator or NTP sets a machine's time.
"""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def skewed(clocks: Path, name: str, seconds: float) -> AsyncIterator[None]:
    """Set a process's clock forward, or back with a negative number."""
    set_clock(clocks / name, seconds)
    try:
        yield
    finally:
        set_clock(clocks / name, 0)


def set_clock(path: Path, seconds: float) -> None:
    """Write the offset in place, since the process has mapped the file."""
    with path.open("r+b") as file:
        file.write(struct.pack("d", seconds))
