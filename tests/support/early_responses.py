"""A transport that reads the response while it sends a large body, as browsers and curl do.

httpx2 reads after it has sent everything. An early response closes the connection of a large body (see the Caddyfile):
a client that still writes finds the connection broken, and never sees the response.
"""

import asyncio
import socket
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from threading import Thread

import httpx2

LARGE = 200_000
SECONDS = 20


class EarlyResponseTransport(httpx2.AsyncHTTPTransport):
    """Uses a connection of its own for each large body of known length."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if int(request.headers.get("Content-Length", 0)) < LARGE:
            return await super().handle_async_request(request)
        return await asyncio.to_thread(_exchanged, request, await request.aread())


def _exchanged(request: httpx2.Request, body: bytes) -> httpx2.Response:
    try:
        with closing(HTTPConnection(request.url.host, request.url.port, timeout=SECONDS)) as connection:
            return _answered(connection, request, body)
    except (OSError, HTTPException) as error:
        raise httpx2.ReadError(str(error)) from error


def _answered(connection: HTTPConnection, request: httpx2.Request, body: bytes) -> httpx2.Response:
    connection.putrequest(request.method, request.url.raw_path.decode(), skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.raw:
        connection.putheader(name, value)
    connection.endheaders()
    sending = Thread(target=_sent, args=(connection.sock, body))
    sending.start()
    try:
        answer = connection.getresponse()
        return httpx2.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    finally:
        connection.close()
        sending.join()


def _sent(connection: socket.socket, body: bytes) -> None:
    with suppress(OSError):  # the server may have closed it
        connection.sendall(body)
