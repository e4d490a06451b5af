"""A client of RELP, the protocol of syslog messages that are acknowledged.

https://github.com/rsyslog/librelp/blob/master/doc/relp.html
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

OFFER = b"relp_version=0\nrelp_software=practitioner-portal\ncommands=syslog"
ANSWER_SECONDS = 30.0
LAST_NUMBER = 999_999_999
MOST_BYTES = 10_000
"""Of a response."""


class Refused(Exception):
    """The receiver refused the session or a message."""


class Session:
    """An open session, for one message or more at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._number = reader, writer, 0

    async def send(self, messages: Sequence[bytes]) -> None:
        """Return when the receiver has acknowledged all of them. Raises `Refused`, `OSError`, `EOFError`."""
        await self._call(b"syslog", messages)

    async def open(self) -> None:
        """Agree on the protocol."""
        await self._call(b"open", [OFFER])

    async def _call(self, command: bytes, contents: Sequence[bytes]) -> None:
        sent = set[int]()
        for content in contents:
            self._number = self._number % LAST_NUMBER + 1
            sent.add(self._number)
            self._writer.write(b"%d %s %d %s\n" % (self._number, command, len(content), content))
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._writer.drain()
            while sent:
                sent.discard(await self._acknowledged())

    async def _acknowledged(self) -> int:
        number, command, length = [await self._reader.readuntil(b" ") for _ in range(3)]
        content = await self._reader.readexactly(min(int(length), MOST_BYTES) + 1)
        if command != b"rsp " or not content.startswith(b"200"):
            raise Refused(f"{command.decode()}{content[:100].decode(errors='replace')}")
        return int(number)


@asynccontextmanager
async def connect(host: str, port: int, context: ssl.SSLContext) -> AsyncIterator[Session]:
    """A session with a receiver. Raises `Refused`, `OSError`, `EOFError`."""
    async with asyncio.timeout(ANSWER_SECONDS):
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        session = Session(reader, writer)
        await session.open()
        yield session
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
