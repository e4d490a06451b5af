"""Hostile input for every endpoint, generated from the services' OpenAPI documents."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import httpx2

from deploy.local.people import random_card
from tests.support.names import own_id
from tests.support.people import EDUCATION
from tests.support.scale import LONG

SERVICES = ("identity", "records", "notify", "attachments", "signature", "subscriptions")
MARK = "q7planted7q"  # part of the input: no response may repeat it
JSON = "application/json"

CREDENTIAL = {
    "id": "AAAA", "rawId": "AAAA", "type": "public-key",
    "response": {
        "clientDataJSON": "AAAA", "attestationObject": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA",
    },
}  # fmt: skip
SAMPLES: dict[str, dict[str, Any]] = {
    "request_code": {
        "document_number": "310101199003071230", "phone": "13800000000",
        "captcha_id": own_id(), "captcha_answer": "AAAA",
    },
    "log_in": {"challenge_id": own_id(), "code": "123456"},
    "prove": {"challenge_id": own_id(), "code": "123456"},
    "refresh": {"refresh_token": f"{own_id()}.{MARK}"},
    "log_in_staff": {"username": MARK, "password": MARK, "totp": "123456"},
    "change_password": {"password": MARK, "totp": "123456", "new_password": f"{MARK} long enough"},
    "reset_staff": {"password": True, "totp": True},
    "request_approval": {"asked": "create", "username": MARK, "roles": ["clerk"], "reason": MARK},
    "begin_passkey": {"password": MARK, "totp": "123456"},
    "add_passkey": {"challenge_id": own_id(), "name": MARK, "credential": CREDENTIAL},
    "log_in_with_passkey": {"challenge_id": own_id(), "credential": CREDENTIAL},
    "register": random_card(),
    "check_registration": random_card(),
    "lookup": {"document_type": "resident_id", "document_number": "310101199003071230"},
    "lookup_many": {"documents": [{"document_type": "resident_id", "document_number": "310101199003071230"}]},
    "issue_certificate": {"phone": "13800000000"},
    "send_phone_code": {"phone": "13800000000"},
    "rebind_certificate": {"phone": "13800000000"},
    "create_record": {"kind": "education", "data": EDUCATION},
    "check_record": {"kind": "education", "data": EDUCATION},
    "change_record": {"data": EDUCATION},
    "open_dispute": {"text": MARK},
    "close_dispute": {"outcome": "corrected", "reason": MARK},
    "create_webhook": {"url": "https://example.org/hook", "kinds": ["title"], "since": "2026-01-01T00:00:00Z"},
    "change_webhook": {"url": "https://example.org/hook", "kinds": ["title"]},
    "replay_webhook": {"since": "2026-01-01T00:00:00Z", "practitioner_id": own_id()},
}  # fmt: skip
FREE_TEXT = {"refresh_token", "captcha_answer", "captcha_id", "challenge_id", "username", "password", "new_password"}
"""Any text may be tried here; it is judged, not refused for its form."""

NEVER_RIGHT: list[Any] = [
    {"$ne": None}, {"$gt": ""}, {"$where": f"sleep(1000)||'{MARK}'"}, {"$regex": ".*"}, [{"$ne": 1}], [], {},
    [[[MARK]]], 1.5, 10**30, -1, {MARK: MARK}, {"__proto__": {"admin": True}},
]  # fmt: skip
HOSTILE_TEXT = [
    "\x00", f"{MARK}\x00", "x" * 100_000, "\u202e" + MARK, "\ufffe\uffff", "\x1b[2J" + MARK, "' OR '1'='1", "${jndi:x}",
]  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    operation: str
    takes_body: bool
    queries: frozenset[str] = frozenset()

    @property
    def holes(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    def filled(self, value: str | None = None) -> str:
        return re.sub(r"{\w+}", value or own_id(), self.path)

    @property
    def sample(self) -> dict[str, Any] | None:
        return SAMPLES.get(self.operation)


@dataclass(frozen=True)
class Attack:
    """A request, and whether every response but 4xx is wrong."""

    endpoint: Endpoint
    what: str
    path: str
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    refused: bool = True


async def endpoints(gateway: httpx2.AsyncClient) -> list[Endpoint]:
    found = []
    for service in SERVICES:
        document = (await gateway.get(f"/api/{service}/openapi.json")).raise_for_status().json()
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                takes_body = "requestBody" in operation
                queries = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
                found.append(Endpoint(method.upper(), path, operation["operationId"], takes_body, frozenset(queries)))
    return found


def raw_bodies() -> Iterator[tuple[str, bytes]]:
    """Bodies that are not a JSON object, or an ambiguous one."""
    deep = 1_000
    yield "empty", b""
    yield "blank", b"  "
    yield "cut off", b'{"kind": "educ'
    yield "array", b"[]"
    yield "null", b"null"
    yield "text", b'"text"'
    yield "number", b"1"
    yield "empty object", b"{}"
    yield "deep arrays", b"[" * deep + b"]" * deep
    yield "deep objects", b'{"data":' * deep + b"1" + b"}" * deep
    yield "very deep", b'{"data":' * 100_000 + b"1" + b"}" * 100_000
    yield "not UTF-8", b'{"kind": "\xff\xfe", "data": {"a": "\xc3\x28"}}'
    yield "UTF-16", '{"kind": "education"}'.encode("utf-16")
    yield "NUL", b"\x00" * 64
    yield "NaN", b'{"kind": NaN, "data": {"school": Infinity}, "phone": -Infinity}'
    yield "huge number", b'{"kind": ' + b"9" * 5_000 + b"}"
    yield "huge exponent", b'{"kind": 1e999999}'
    yield "many names", json.dumps({f"{MARK}{number}": 1 for number in range(5_000)}).encode()
    yield "trailing", b'{"kind": "education"} {"kind": "title"}'
    yield "XML", b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'


def body_attacks(endpoint: Endpoint) -> Iterator[Attack]:
    path, sample = endpoint.filled(), endpoint.sample
    for what, content in raw_bodies():
        yield Attack(endpoint, what, path, content, {"Content-Type": JSON})
    if sample is None:
        return
    good = json.dumps(sample).encode()
    for kind in ("text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded", "x", ""):
        yield Attack(endpoint, f"content type {kind!r}", path, good, {"Content-Type": kind})
    yield Attack(endpoint, "deflated", path, good, {"Content-Type": JSON, "Content-Encoding": "gzip"}, refused=False)
    first = next(iter(sample))
    twice = good[:-1] + f", {json.dumps(first)}: {json.dumps(sample[first])}}}".encode()
    yield Attack(endpoint, "a name twice", path, twice, {"Content-Type": JSON})
    yield Attack(endpoint, "unknown field", path, json.dumps(sample | {MARK: MARK}).encode(), {"Content-Type": JSON})
    for name in ("_id", "version", "practitioner_id", "state", "by"):
        yield Attack(
            endpoint, f"{name} assigned", path, json.dumps(sample | {name: "1"}).encode(), {"Content-Type": JSON}
        )
    yield from field_attacks(endpoint, sample)


def field_attacks(endpoint: Endpoint, sample: dict[str, Any]) -> Iterator[Attack]:
    places: list[tuple[str, ...]] = [(name,) for name in sample]
    places += [("data", name) for name in sample.get("data", ())]
    for place in places:
        name = place[-1]
        for value in NEVER_RIGHT:
            yield field_attack(endpoint, sample, place, value, refused=True)
        for value in HOSTILE_TEXT:
            plain = value.isprintable() and len(value) < 100
            yield field_attack(endpoint, sample, place, value, refused=not plain and name not in FREE_TEXT)
        yield field_attack(endpoint, sample, place, "\ud800", refused=True)


def field_attack(
    endpoint: Endpoint, sample: dict[str, Any], place: tuple[str, ...], value: Any, *, refused: bool
) -> Attack:
    body: dict[str, Any] = json.loads(json.dumps(sample))
    target = body
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    what = f"{'.'.join(place)} = {json.dumps(value)[:60]}"
    return Attack(endpoint, what, endpoint.filled(), json.dumps(body).encode(), {"Content-Type": JSON}, refused)


ODD_IDS = [
    "%00", "%ff%fe", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..", "null", "undefined", "-1", "0", "x" * 5_000, MARK,
    "%7B%22$ne%22%3A1%7D", "00000000-0000-0000-0000-00000000000G", "%F0%9F%92%A9", "%ED%A0%80", "me%00", "ME", "*",
    "{00000000-0000-4000-8000-000000000000}", "00000000-0000-4000-8000-000000000000%0a", "%0d%0aSet-Cookie:%20a=b",
]  # fmt: skip


def unusual_queries(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    """Each unusual value for each parameter of the call, and one unknown parameter per value, in turns."""
    turn = crc32(endpoint.operation.encode())
    for name in ("cursor", "limit", "kind", "state", "scale", "purpose", "after", "since", MARK):
        values = ("%00", "%ff", "x" * 3_000, "%7B%22$ne%22%3A1%7D", "1&" + name + "=2", "-1", "NaN")
        for value in values if LONG or name in endpoint.queries else (values[turn % len(values)],):
            yield name, value
        turn += 1


def path_attacks(endpoint: Endpoint) -> Iterator[Attack]:
    content = json.dumps(endpoint.sample).encode() if endpoint.sample else None
    headers = {"Content-Type": JSON} if content else {}
    for odd in ODD_IDS if endpoint.holes else ():
        yield Attack(endpoint, f"id {odd[:40]}", endpoint.filled(odd), content, headers)
    for name, value in unusual_queries(endpoint):
        path = f"{endpoint.filled()}?{name}={value}"
        yield Attack(endpoint, f"query {name}={value[:20]}", path, content, headers, refused=False)


def header_attacks(endpoint: Endpoint) -> Iterator[Attack]:
    content = json.dumps(endpoint.sample).encode() if endpoint.sample else None
    kind = {"Content-Type": JSON} if content else {}
    for name, value in (
        ("If-Match", "\xff\xfe"), ("If-Match", '"' + "9" * 4_000 + '"'), ("If-Match", '"999999999"'), ("If-Match", ","),
        ("Idempotency-Key", "\xff"), ("Idempotency-Key", "x" * 4_000), ("X-Request-Id", "\xff" * 100),
        ("X-Forwarded-For", "';--"), ("Accept", "\xff"), ("Accept-Language", "x" * 4_000), ("User-Agent", "\xff" * 500),
    ):  # fmt: skip
        yield Attack(
            endpoint, f"{name}: {value[:20]!r}", endpoint.filled(), content, kind | {name: value}, refused=False
        )
