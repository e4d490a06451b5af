"""docs/security/authorization.md is true: every operation is called by every kind of caller."""

import httpx2

from kit.security.tokens import TokenIssuer
from services.identity.accounts.domain import staff_id
from services.identity.accounts.staff import ROLES
from tests.shape.call_matrix import Attempt, attempts, page
from tests.shape.hostile_input import Endpoint, endpoints
from tests.shape.strangers import Things, filled, protected, request_as
from tests.support.events import SecurityLog
from tests.support.identity_clients import bearer
from tests.support.matrix import outcome, same_as_the_page
from tests.support.names import own_id
from tests.support.staffing import Hire


def order(endpoint: Endpoint) -> tuple[bool, bool, str]:
    """Deletions last: every other call needs the object."""
    return endpoint.path.endswith("/erasure"), endpoint.method == "DELETE", endpoint.path


async def tried(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, endpoint: Endpoint, attempt: Attempt, things: Things
) -> tuple[str, int]:
    """The request's id and its status."""
    request = own_id()
    token = bearer(issuer.issue(attempt.caller)) if attempt.caller else {}
    answer = await request_as(gateway, endpoint, filled(endpoint, things.ids), token | {"X-Request-Id": request})
    assert answer.status_code < 500, f"{endpoint} as {attempt}: {answer.text}"
    return request, answer.status_code


async def test_the_page_says_who_may_call_what(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, things: Things, events: SecurityLog, hire: Hire
) -> None:
    guarded = await protected(gateway)
    staff = {role: staff_id((await hire(*({role} - {""}))).login["username"]) for role in ("", *ROLES)}
    calls: dict[str, tuple[Endpoint, Attempt, int]] = {}
    for endpoint in sorted(guarded, key=order):
        for attempt in attempts(endpoint, things, staff):
            request, status = await tried(gateway, issuer, endpoint, attempt, things)
            calls[request] = endpoint, attempt, status
    found = await events.of(calls)
    answers: dict[Endpoint, dict[tuple[str, str], str]] = {endpoint: {} for endpoint in guarded}
    for request, (endpoint, attempt, status) in calls.items():
        answers[endpoint][attempt.column, attempt.name] = outcome(status, found[request])
    public = [each for each in await endpoints(gateway) if each not in guarded]
    rows = {f"{endpoint.method} {endpoint.path}": given for endpoint, given in answers.items()}
    same_as_the_page("security/authorization.md", page(rows, public))
