"""The receiver: rsyslogd with `receiver.conf`, which writes a file a day for each container."""

import asyncio
import gzip
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deploy.logs.settings import ReceiveSettings, Receiving
from kit.observability import log

PROGRAM = "/usr/sbin/rsyslogd"
CONFIGURATION = Path(__file__).parent / "receiver.conf"
TIDY_SECONDS = 3600.0
logger = log.get(__name__)


async def run(settings: ReceiveSettings) -> None:
    """Run rsyslogd until cancelled. Raises `RuntimeError` when it ends by itself."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "-n", "-iNONE", "-f", CONFIGURATION,
        stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=os.environ | settings.variables(),
    )  # fmt: skip
    try:
        while process.stdout and (line := await process.stdout.readline()):
            if text := line.decode(errors="replace").strip():
                logger.warning("rsyslog message", text=text)
        raise RuntimeError(f"rsyslogd ended with {await process.wait()}")
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def keep_tidy(receiving: Receiving) -> None:
    """Work until cancelled."""
    while True:
        await asyncio.to_thread(tidy, receiving, datetime.now(UTC).date())
        await asyncio.sleep(TIDY_SECONDS)


def tidy(receiving: Receiving, today: date) -> None:
    """Compress the files of days that are over, remove days that are too old."""
    oldest, yesterday = (today - timedelta(days=days) for days in (receiving.days, 1))
    for folder in receiving.folder.glob("????-??-??"):
        if folder.name < oldest.isoformat():
            shutil.rmtree(folder)
        elif folder.name < yesterday.isoformat():  # rsyslogd may have files of yesterday open
            for path in folder.glob("*.jsonl"):
                with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
                    shutil.copyfileobj(plain, packed)
                path.unlink()
