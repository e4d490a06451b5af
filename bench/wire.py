"""A minimal HTTP client: the generator shares two cores with what it measures."""

import asyncio
import json
import re
import ssl
from functools import cache
from typing import Any, Self


@cache
def _context(ca: str) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=ca) if ca else None


LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"^connection: close", re.IGNORECASE | re.MULTILINE)


def request(method: str, path: str, token: str = "", body: object = None, cookie: str = "", version: int = 0) -> str:
    """Return a request as ASCII text, prepared before the measurement; `version`: the one that an edit replaces."""
    content = "" if body is None else json.dumps(body)
    headers = [f"{method} {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(content)}"]
    headers += ["Content-Type: application/json"] if content else []
    headers += [f"Authorization: Bearer {token}"] if token else []
    headers += [f"Cookie: {cookie}"] if cookie else []
    headers += [f'If-Match: "{version}"'] if version else []
    return "\r\n".join([*headers, "", content])


class Connection:
    """One kept-alive connection; a server closes it when it was idle for some seconds."""

    def __init__(self, port: int, ca: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port = port
        self._ca = ca
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, ca: str = "") -> Self:
        """Connect; with TLS if there is the certificate of an authority."""
        return cls(port, ca, *await asyncio.open_connection("127.0.0.1", port, ssl=_context(ca)))

    async def ask(self, text: bytes) -> dict[str, Any]:
        """Return the JSON of the response. Raises when the status is not 2xx."""
        head, content = await self.exchange(text)
        if head[9:10] != b"2":
            raise RuntimeError(f"{head[:40]!r}: {content[:300]!r}")
        return {"content": content}

    async def exchange(self, text: bytes) -> tuple[bytes, bytes]:
        """Return head and body of the response, whatever its status."""
        if self._reader.at_eof() or self._writer.is_closing():
            opened = await asyncio.open_connection("127.0.0.1", self._port, ssl=_context(self._ca))
            self._reader, self._writer = opened
        self._writer.write(text)
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = LENGTH.search(head)
        content = await self._reader.readexactly(int(found[1]) if found else 0)
        if CLOSE.search(head):  # the gateway's answer to a large body
            self._writer.close()
        return head, content

    def close(self) -> None:
        self._writer.close()
