"""HTTP to untrusted URLs (OWASP ASVS V1.3.6): public addresses only, whatever their names resolve to."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2

RESOLVE_SECONDS = 3.0
MAX_PORT = 65_535
MAX_ANSWER_BYTES = 4 * 1024  # read so that the connection can be reused; the content is ignored
# These carry an IPv4 address inside (RFC 6052, 8215, 3056, 4380), are the anycast address of such relays (RFC 7526) or
# site-local (RFC 3879): no receiver needs them. 192.0.0.0/24 is for protocols' own use (RFC 6890): Python takes it for
# global, and a cloud keeps its metadata there.
CLOSED = [
    ipaddress.ip_network(net)
    for net in (
        "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "192.0.0.0/24", "192.88.99.0/24", "fec0::/10",
    )
]  # fmt: skip


class Forbidden(Exception):
    """Not a public address, or not a URL that may be called."""


class NotReached(Exception):
    """No response; the text is the cause: unknown name, connection refused, TLS failure or timeout."""


@dataclass(frozen=True)
class Limits:
    """`loopback`: this machine may be called too, and without TLS (a developer's stack)."""

    connect_seconds: float = 5.0
    answer_seconds: float = 15.0
    loopback: bool = False


def may_reach(address: str, *, loopback: bool = False) -> bool:
    """Whether an IP address (text) is a public one, or with `loopback` this machine's."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(ip, "ipv4_mapped", None) or ip
    if plain.is_loopback:
        return loopback
    closed = any(plain.version == net.version and plain in net for net in CLOSED)
    return plain.is_global and not (plain.is_multicast or plain.is_reserved or closed)


def checked_url(text: str, *, loopback: bool = False) -> httpx2.URL:
    """The URL if it may be called, as far as can be checked without resolving its name. Raises `Forbidden`."""
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise Forbidden from error
    local = loopback and (url.host == "localhost" or _is_loopback(url.host))
    if url.scheme not in ("https", "http") or (url.scheme == "http" and not local):
        raise Forbidden
    if url.userinfo or url.fragment or not 1 <= (url.port or 443) <= MAX_PORT:
        raise Forbidden
    if not url.host or not _plain(url.host, loopback=loopback):
        raise Forbidden
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(host: str, *, loopback: bool) -> bool:
    """A name of several labels, or an address that may be reached; `resolve` checks obfuscated IP literals."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host.strip(".") or (loopback and host == "localhost")
    return may_reach(host, loopback=loopback)


async def resolve(host: str, port: int, *, loopback: bool = False) -> str:
    """An address of `host` that may be called. Raises `Forbidden` when any of them may not, `NotReached`."""
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise NotReached("name not resolved") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(may_reach(address, loopback=loopback) for address in addresses):
        raise Forbidden
    return addresses[0]


class Outbound:
    """Posts to one receiver. It connects to the address that was checked, without a second DNS query."""

    def __init__(self, limits: Limits, connections: int) -> None:
        self._limits = limits
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(limits.answer_seconds, connect=limits.connect_seconds),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            trust_env=False,  # a proxy would resolve the name again
        )

    async def __aenter__(self) -> Self:
        """Connects lazily."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises `Forbidden`, `NotReached`."""
        url = checked_url(target, loopback=self._limits.loopback)
        try:
            async with asyncio.timeout(self._limits.connect_seconds + self._limits.answer_seconds):
                return await self._post(url, body, headers)
        except TimeoutError as error:
            raise NotReached("too slow") from error
        except httpx2.HTTPError as error:
            raise NotReached(_cause(error)) from error

    async def _post(self, url: httpx2.URL, body: bytes, headers: Mapping[str, str]) -> int:
        port = url.port or (443 if url.scheme == "https" else 80)
        address = await resolve(url.host, port, loopback=self._limits.loopback)
        named = {**headers, "Host": url.netloc.decode("ascii")}
        names = {"sni_hostname": url.host}  # the certificate is the name's, not the address's
        request = self._client.build_request(
            "POST", url.copy_with(host=address), content=body, headers=named, extensions=names
        )
        response = await self._client.send(request, stream=True)
        try:
            await _skim(response)
        finally:
            await response.aclose()
        return response.status_code


async def _skim(response: httpx2.Response) -> None:
    seen = 0
    async for piece in response.aiter_raw():
        seen += len(piece)
        if seen > MAX_ANSWER_BYTES:
            return


def _cause(error: httpx2.HTTPError) -> str:
    causes: Sequence[tuple[type[httpx2.HTTPError], str]] = (
        (httpx2.TimeoutException, "too slow"),
        (httpx2.ConnectError, "not connected"),
    )
    return next((cause for kind, cause in causes if isinstance(error, kind)), "connection broken")
