"""Ships what containers write. Their files are the queue: the position moves on when the receiver has acknowledged."""

import asyncio
import ssl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import Gauge

from deploy.logs import relp
from deploy.logs.lines import Format, docker, kubernetes, message
from deploy.logs.settings import ShipSettings
from kit.core.errors import cause_of
from kit.observability import log
from kit.observability.log_files import LogFiles, Record
from kit.runtime.tls import client_context

PAUSE_SECONDS, RETRY_SECONDS, MEASURE_SECONDS = 1.0, 2.0, 10.0
FORMATS: dict[str, Format] = {"docker": docker, "kubernetes": kubernetes}
waiting = Gauge("log_bytes_waiting", "Bytes of containers' logs that the receiver has not acknowledged")
logger = log.get(__name__)


class Shipper:
    """Reads files and sends what is new."""

    def __init__(self, settings: ShipSettings) -> None:
        self._settings, self._logs = settings, settings.logs
        self._format, self._measured = FORMATS[self._logs.format], 0.0
        self._files = LogFiles(
            self._logs.folder, self._logs.pattern, self._logs.state / "positions.json", self._continues
        )

    def _continues(self, path: Path, line: bytes) -> bool:
        found = self._format(path, line)
        return found is not None and not found.complete

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self._session()
            except (OSError, EOFError, relp.Refused) as error:
                logger.warning("logs not shipped", receiver=self._logs.receiver, error=cause_of(error))
                self._measure()
            await asyncio.sleep(RETRY_SECONDS)

    async def _session(self) -> None:
        host, _, port = self._logs.receiver.rpartition(":")
        async with relp.connect(host, int(port), self._context()) as session:
            logger.info("receiver connected", receiver=self._logs.receiver)
            while True:
                for batch in self._files.batches():
                    if messages := list(self._messages(batch)):
                        await session.send(messages)
                    self._measure()
                self._measure()
                await asyncio.sleep(PAUSE_SECONDS)

    def _context(self) -> ssl.SSLContext:
        context = client_context(self._logs.ca)
        tls = self._settings.tls
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
        return context

    def _messages(self, batch: Iterable[Record]) -> Iterator[bytes]:
        for record in batch:
            pieces = [found for line in record.lines if (found := self._format(record.path, line))]
            if pieces:
                yield message(self._logs.site, pieces)

    def _measure(self) -> None:
        if (now := time.monotonic()) - self._measured > MEASURE_SECONDS:
            waiting.set(self._files.waiting())
            self._measured = now
