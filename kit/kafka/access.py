"""Users (SCRAM-SHA-512) and access control lists of the broker, for a super user.

aiokafka's admin client has no calls for them: the requests are its protocol classes, and one of our own for users
(KIP-554).
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, cast

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields

from kit.kafka.admin import admin
from kit.kafka.connections import translate_errors
from kit.settings import KafkaSettings

T = TypeVar("T")
ITERATIONS = 8192
SCRAM_SHA_512 = 2
ANY, LITERAL, PREFIXED = 1, 3, 4
ALLOW = 3

Resource = Literal["topic", "group", "cluster", "transactional_id"]
Operation = Literal[
    "read", "write", "create", "delete", "alter", "describe", "cluster_action", "describe_configs", "alter_configs",
]  # fmt: skip
RESOURCES: dict[Resource, int] = {"topic": 2, "group": 3, "cluster": 4, "transactional_id": 5}
OPERATIONS: dict[Operation, int] = {
    "read": 3, "write": 4, "create": 5, "delete": 6, "alter": 7, "describe": 8, "cluster_action": 9,
    "describe_configs": 10, "alter_configs": 11,
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Grant:
    """What a user may do with one resource, or with all whose name begins with `name` if `prefixed`."""

    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False


@dataclass(frozen=True)
class Entry:
    """An entry of the lists as the broker holds it: an allowed or denied operation of a principal, from a host."""

    resource: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int

    @classmethod
    def of(cls, user: str, grant: Grant) -> "Entry":
        """The entry that gives `grant` to a user, from any host."""
        pattern = PREFIXED if grant.prefixed else LITERAL
        resource, operation = RESOURCES[grant.resource], OPERATIONS[grant.operation]
        return cls(resource, grant.name, pattern, f"User:{user}", "*", operation, ALLOW)

    @property
    def user(self) -> str:
        """The user's name."""
        return self.principal.removeprefix("User:")

    @property
    def fields(self) -> tuple[int, str, int, str, str, int, int]:
        """In the order of the protocol."""
        return self.resource, self.name, self.pattern, self.principal, self.host, self.operation, self.permission


class _Many:
    """Many entries in one request: aiokafka's classes take one."""

    def __init__(self, entries: Collection[Entry]) -> None:
        self._entries = entries

    def build(self, request_struct_class: Callable[[list[tuple[int, str, int, str, str, int, int]]], T]) -> T:
        return request_struct_class([entry.fields for entry in self._entries])


class _Creations(_Many, CreateAclsRequest):  # type: ignore[misc]  # aiokafka is not typed
    pass


class _Deletions(_Many, DeleteAclsRequest):  # type: ignore[misc]
    pass


class _ScramResponse(Response):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY, API_VERSION = 51, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", CompactArray(
            ("user", CompactString("utf-8")), ("error_code", Int16), ("error_message", CompactString("utf-8")),
            ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class _ScramStruct(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 51, 0, True
    RESPONSE_TYPE = _ScramResponse
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields))),
        ("upsertions", CompactArray(
            ("name", CompactString("utf-8")), ("mechanism", Int8), ("iterations", Int32), ("salt", CompactBytes),
            ("salted_password", CompactBytes), ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class _ScramRequest(Request[_ScramStruct]):  # type: ignore[misc]
    """AlterUserScramCredentials: the server gets a salted hash, never the password."""

    API_KEY = 51

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password

    def build(self, request_struct_class: type[_ScramStruct]) -> _ScramStruct:
        salt = secrets.token_bytes(32)
        salted = hashlib.pbkdf2_hmac("sha512", self._password.encode(), salt, ITERATIONS)
        return request_struct_class([], [(self._user, SCRAM_SHA_512, ITERATIONS, salt, salted, {})], {})


class _Sender(Protocol):
    async def _send_request(self, request: Request[Any]) -> Response: ...


class Access:
    """The broker's users and entries."""

    def __init__(self, client: _Sender, timeout_seconds: float) -> None:
        self._client, self._timeout = client, timeout_seconds

    async def set_password(self, user: str, password: str) -> None:
        """Create a user or replace its password; connections that are open stay open.

        Nothing removes a user: Kafka may forget all of them at its next start then (decision 0070).
        """
        reply = await self._send(_ScramRequest(user, password))
        ((_, code, message, _),) = reply["results"]
        _raise(code, message)

    async def entries(self) -> set[Entry]:
        """All entries of the lists."""
        reply = await self._send(DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY))
        _raise(reply["error_code"], reply["error_message"])
        return {
            Entry(resource, name, pattern, principal, host, operation, permission)
            for resource, name, pattern, entries in reply["resources"]
            for principal, host, operation, permission in entries
        }

    async def add(self, entries: Collection[Entry]) -> None:
        """Add entries; one that exists stays."""
        if entries:
            for code, message in (await self._send(_Creations(entries)))["creation_responses"]:
                _raise(code, message)

    async def remove(self, entries: Collection[Entry]) -> None:
        """Remove entries."""
        if entries:
            for code, message, _ in (await self._send(_Deletions(entries)))["filter_responses"]:
                _raise(code, message)

    async def replace(self, wanted: Collection[Entry], managed: Callable[[Entry], bool]) -> tuple[int, int]:
        """Make `wanted` the only entries of those that are `managed`. Returns how many were added and removed.

        Removed first: in between less is permitted than before or after, never more.
        """
        there = await self.entries()
        stale, missing = {entry for entry in there if managed(entry)} - set(wanted), set(wanted) - there
        await self.remove(stale)
        await self.add(missing)
        return len(missing), len(stale)

    async def _send(self, request: Request[Any]) -> dict[str, Any]:
        with translate_errors():
            async with asyncio.timeout(self._timeout):
                reply = await self._client._send_request(request)
        return {name: reply.get_item(name) for name in reply.SCHEMA.names}


def _raise(code: int, message: str | None) -> None:
    if code:
        raise for_code(code)(message)


@asynccontextmanager
async def access(settings: KafkaSettings) -> AsyncIterator[Access]:
    """Connect as a super user. Raises `Unavailable`."""
    async with admin(settings) as opened:
        yield Access(cast(_Sender, opened._client), settings.call_timeout_seconds)


def entries_of(grants: Iterable[tuple[str, Sequence[Grant]]]) -> set[Entry]:
    """The entries for users' grants."""
    return {Entry.of(user, grant) for user, given in grants for grant in given}
