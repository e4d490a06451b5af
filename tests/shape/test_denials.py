"""Every denied request leaves exactly one security event in the logs of all processes together."""

from typing import Any

import httpx2

from kit.security.tokens import Caller, TokenIssuer
from tests.shape.hostile_input import Endpoint
from tests.shape.strangers import Things, Victim, filled, protected, request_as, strangers
from tests.support.change_clients import WEBHOOKS
from tests.support.events import Event, SecurityLog
from tests.support.identity_clients import Citizen, LoginPage, bearer
from tests.support.names import own_id, own_name

FIELDS = {
    "module", "event", "outcome", "cause", "status", "caller", "method", "route", "target", "address", "agent",
    "request_id", "service", "process", "level", "timestamp",
}  # fmt: skip
OPERATORS = {"an operator", "a practitioner with roles of staff"}
"""Other people's webhooks are their business."""
AGENT = "q7planted7q 13800000000"


async def asked(
    gateway: httpx2.AsyncClient, endpoint: Endpoint, path: str, headers: dict[str, str]
) -> tuple[str, httpx2.Response]:
    """The id of the request, and the response."""
    request = own_id()
    return request, await request_as(gateway, endpoint, path, headers | {"X-Request-Id": request, "User-Agent": AGENT})


def impersonal(events: list[Event], *secrets: str) -> None:
    """Checks that events contain only ids and names of ours."""
    for event in events:
        assert set(event) - {"session", "trace_id", "subject"} == FIELDS, event
        for secret in (*secrets, AGENT, "q7planted7q", "13800000000", "curiosity"):
            assert secret not in str(event), event


async def test_a_call_without_a_token_and_one_with_a_forged_token_leave_one_event_each(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, events: SecurityLog
) -> None:
    head, claims, signature = issuer.issue(Caller(own_id(), "practitioner")).split(".")
    forged = f"{head}.{claims}.{signature[::-1]}"
    expected: dict[str, str] = {}
    for endpoint in await protected(gateway):
        for cause, headers in (("no_token", {}), ("token_forged", bearer(forged)), ("token_invalid", bearer("x"))):
            request, answer = await asked(gateway, endpoint, filled(endpoint, {}), headers)
            assert answer.status_code == 401, answer.text
            expected[request] = "secret_wrong" if "/receipts/" in endpoint.path else cause
    found = await events.of(expected)
    assert {request: [event["cause"] for event in of] for request, of in found.items()} == {
        request: [cause] for request, cause in expected.items()
    }
    impersonal([event for of in found.values() for event in of])
    assert {event["caller"] for of in found.values() for event in of} == {"anonymous"}
    assert len(expected) >= 3 * 40


async def test_a_call_for_a_foreign_object_leaves_one_event(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, victim: Victim, things: Things, events: SecurityLog
) -> None:
    """The response is that for a missing object, byte by byte."""
    expected: dict[str, tuple[Endpoint, str]] = {}
    for endpoint in await protected(gateway):
        for name, headers in strangers(issuer):
            if not set(endpoint.holes) & set(things.ids) or (name in OPERATORS and endpoint.path.startswith(WEBHOOKS)):
                continue
            request, answer = await asked(gateway, endpoint, filled(endpoint, things.ids), headers)
            assert answer.status_code in (401, 403, 404), f"{endpoint} as {name}: {answer.text}"
            assert answer.content == (await request_as(gateway, endpoint, filled(endpoint, {}), headers)).content
            expected[request] = (endpoint, name)
    found = await events.of(expected)
    assert {expected[request]: of for request, of in found.items() if len(of) != 1} == {}
    every = [event for [event] in found.values()]
    impersonal(every, *victim.citizen.secrets, victim.citizen.card["name"])
    assert {event["cause"] for event in every} == {"no_token", "forbidden", "foreign_object"}
    for (endpoint, _), event in zip(expected.values(), every, strict=True):
        assert event["method"] == endpoint.method
        assert endpoint.path.endswith(event["route"])  # a router's own path, without the prefix it is included with
        assert set(event["target"].items()) <= set(things.ids.items())
        assert event["target"]


async def test_a_missing_object_is_not_a_denial(
    gateway: httpx2.AsyncClient, victim: Victim, events: SecurityLog
) -> None:
    request, path = own_id(), f"/api/records/records/{own_id()}"
    assert (await victim.session.call("GET", path, headers={"X-Request-Id": request})).status_code == 404
    assert (await events.of([request]))[request] == []


async def test_a_failed_authentication_leaves_one_event(
    gateway: httpx2.AsyncClient, login_page: LoginPage, events: SecurityLog
) -> None:
    """A log-in without a certificate, a client's wrong secret, staff's wrong password, a carrier's wrong secret."""
    stranger, basic = Citizen(), httpx2.BasicAuth("q7planted7q", "q7planted7q")
    who = {"document_number": stranger.number, "phone": stranger.phone}
    staff = {"username": own_name("13800000000"), "password": "q7planted7q", "totp": "000000"}
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "not_enrolled": ("/api/identity/login/codes", {"json": who | await login_page.solved()}),
        "invalid_client": ("/api/identity/oauth/token", {"data": {"grant_type": "client_credentials"}, "auth": basic}),
        "login_failed": ("/api/identity/staff/sessions", {"json": staff}),
        "refresh_invalid": ("/api/identity/tokens/refresh", {"json": {"refresh_token": f"{own_id()}.x"}}),
        "secret_wrong": ("/api/notify/receipts/tencent?token=q7planted7q", {"json": []}),
    }
    finer = {"invalid_client": "unknown_client", "login_failed": "unknown_account"}
    requests = {cause: own_id() for cause in calls}
    for cause, (path, call) in calls.items():
        headers = {"X-Request-Id": requests[cause], "User-Agent": AGENT}
        answer = await gateway.post(path, headers=headers, **call)
        assert answer.status_code in (401, 403), answer.text
    logged = await events.of(requests.values())
    # one of them may also raise a spray event: other tests guess from this network too
    found = {request: [event for event in of if event["outcome"] == "denied"] for request, of in logged.items()}
    assert {cause: [event["cause"] for event in found[requests[cause]]] for cause in calls} == {
        cause: [finer.get(cause, cause)] for cause in calls
    }
    impersonal([event for of in found.values() for event in of], *stranger.secrets)


async def test_an_event_names_the_session_of_the_token(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, victim: Victim, events: SecurityLog
) -> None:
    caller, request = Caller(own_id(), "practitioner", session=own_id()), own_id()
    headers = bearer(issuer.issue(caller)) | {"X-Request-Id": request}
    await gateway.get(f"/api/records/records/{victim.ids['record_id']}", headers=headers)
    event = await events.one(request)
    assert (event["caller"], event["session"]) == (caller.label, caller.session)
    assert event["target"] == {"record_id": victim.ids["record_id"]}
    assert (event["event"], event["outcome"], event["status"]) == ("access_denied", "denied", 404)
