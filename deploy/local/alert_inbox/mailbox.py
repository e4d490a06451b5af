"""A mail server that keeps what it gets: the part of SMTP that a client needs to send, with STARTTLS on request."""

import asyncio
import ssl
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage

Deliver = Callable[[EmailMessage], None]


class Mailbox:
    """Serves one connection after the other or several at once; `context`: offers STARTTLS and requires it."""

    def __init__(self, deliver: Deliver, context: ssl.SSLContext | None = None) -> None:
        self._deliver, self._context = deliver, context
        self.login: str | None = None
        """What the last client sent with AUTH, if any."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a client until it quits."""
        encrypted = self._context is None
        await _say(writer, "220 mailbox")
        while line := await reader.readline():
            word, _, rest = line.decode("ascii", "replace").strip().partition(" ")
            match word.upper():
                case "EHLO" | "HELO":
                    offered = "250-8BITMIME" if encrypted else "250-STARTTLS"
                    await _say(writer, "250-mailbox", offered, "250 AUTH PLAIN")
                case "STARTTLS" if self._context:
                    await _say(writer, "220 go ahead")
                    await writer.start_tls(self._context)
                    encrypted = True
                case _ if not encrypted:
                    await _say(writer, "530 Must issue a STARTTLS command first")
                case "AUTH":
                    self.login = rest
                    await _say(writer, "235 authenticated")
                case "DATA":
                    await _say(writer, "354 go on")
                    self._deliver(await _message(reader))
                    await _say(writer, "250 kept")
                case "QUIT":
                    await _say(writer, "221 bye")
                    break
                case _:
                    await _say(writer, "250 ok")
        writer.close()


async def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()


async def _message(reader: asyncio.StreamReader) -> EmailMessage:
    """Read a message up to the line with a single dot."""
    lines = []
    while (line := await reader.readline()) not in (b".\r\n", b""):
        lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
    parsed = message_from_bytes(b"".join(lines), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed
