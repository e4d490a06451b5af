"""Generated requests (schemathesis): what the OpenAPI documents allow, and much that they don't."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import httpx2
import pytest
import schemathesis
import schemathesis.specs.openapi.schemas  # otherwise first in a thread, where ast.parse of 3.11 isn't safe (gh-106905)
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok

from kit.security.tokens import Caller, TokenIssuer
from tests.shape.hostile_input import SERVICES
from tests.support.names import own_id
from tests.support.problems import well_formed
from tests.support.scale import scaled
from tests.support.stack import RunningStack

EXAMPLES = scaled(12, 8)
"""Requests for each operation and way of generating."""


@pytest.mark.parametrize("service", SERVICES)
async def test_generated_requests_never_break_a_service(
    stack: RunningStack, gateway: httpx2.AsyncClient, issuer: TokenIssuer, service: str
) -> None:
    number = random.SystemRandom().getrandbits(32)
    print(f"seed: {number}")
    document = (await gateway.get(f"/api/{service}/openapi.json")).json()
    scopes = frozenset({"practitioners:lookup", "changes:read"})
    caller = Caller(own_id(), "practitioner", frozenset({"clerk", "operator"}), scopes)
    headers = {"Authorization": f"Bearer {issuer.issue(caller)}"}
    await asyncio.to_thread(play, document, stack.gateway, headers, number)


def play(document: dict[str, Any], address: str, headers: dict[str, str], number: int) -> None:
    schema = schemathesis.openapi.from_dict(document)
    with httpx2.Client(base_url=address, headers=headers, timeout=40) as client:
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            run(found.ok(), schemathesis.GenerationMode.POSITIVE, client, number)
            with suppress(Unsatisfiable):  # some calls have nothing to get wrong
                run(found.ok(), schemathesis.GenerationMode.NEGATIVE, client, number)


def run(operation: Any, mode: Any, client: httpx2.Client, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=str(client.base_url))
        body = sent.get("data")
        written: dict[str, Any] = {"content" if isinstance(body, str | bytes) else "data": body} if body else {}
        response = client.request(
            sent["method"], sent["url"], params=sent.get("params"), json=sent.get("json"),
            headers={name: value for name, value in (sent.get("headers") or {}).items() if value.isascii()}, **written,
        )  # fmt: skip
        assert response.status_code < 500, f"{case!r}: {response.text[:300]}"
        if response.status_code >= 400:
            well_formed(response)

    one()
