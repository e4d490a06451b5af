"""Denials at pages are recorded once, with the caller and the browser's address."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from kit.security.tokens import Caller, TokenIssuer
from tests.support.browsing import COOKIE, Browsing
from tests.support.events import SecurityLog
from tests.support.identity_clients import bearer
from tests.support.names import own_id
from tests.support.people import EDUCATION, Person
from tests.support.portal import Member, NewMember
from tests.support.processes import Processes
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.staffing import Desk, Hire, attend
from tests.support.waiting import eventually

ADDRESS = "127.0.0.77"


@pytest_asyncio.fixture(loop_scope="session")
async def far(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    """The gateway, from a client address of the test's own."""
    transport = httpx2.AsyncHTTPTransport(local_address=ADDRESS)
    async with httpx2.AsyncClient(base_url=stack.gateway, timeout=20, transport=transport) as client:
        yield client


@pytest.fixture
def events(stack: RunningStack, gateway: httpx2.AsyncClient) -> SecurityLog:
    return SecurityLog(stack, gateway)


def moved(browsing: Browsing, far: httpx2.AsyncClient) -> Browsing:
    """The same browser, from that address."""
    return Browsing(far, dict(browsing.cookies))


async def asked(browsing: Browsing, method: str, path: str, **more: Any) -> tuple[str, httpx2.Response]:
    """The id of the request, and the response."""
    request = own_id()
    return request, await browsing.ask(method, path, headers={"X-Request-Id": request}, **more)


async def test_a_page_of_somebody_elses_record_is_recorded_by_the_service(
    member: Member, new_member: NewMember, far: httpx2.AsyncClient, events: SecurityLog
) -> None:
    theirs = await (await new_member()).add("education", EDUCATION)
    request, answer = await asked(moved(member.browsing, far), "GET", f"/records/{theirs}")
    assert answer.status_code == 404
    event = await events.one(request)
    assert (event["service"], event["cause"]) == ("records", "foreign_object")
    assert (event["caller"], event["address"]) == (f"practitioner:{member.citizen.id}", ADDRESS)
    assert event["session"]
    assert event["target"] == {"record_id": theirs}


async def test_a_page_for_another_role_is_recorded_by_the_portal(
    member: Member, desk_of: Desk, far: httpx2.AsyncClient, events: SecurityLog
) -> None:
    clerk = await desk_of("clerk")
    for browsing, path, kind in (
        (member.browsing, "/staff/find", "practitioner"), (clerk, "/operators", "staff"), (clerk, "/", "staff"),
    ):  # fmt: skip
        request, answer = await asked(moved(browsing, far), "GET", path)
        assert answer.status_code == 404
        event = await events.one(request)
        assert (event["service"], event["cause"], event["route"]) == ("portal", "forbidden", path)
        assert event["caller"].startswith(f"{kind}:")
        assert event["address"] == ADDRESS


async def test_a_form_with_a_foreign_csrf_token_is_recorded(
    member: Member, far: httpx2.AsyncClient, events: SecurityLog
) -> None:
    request, answer = await asked(moved(member.browsing, far), "POST", "/logout", data={"csrf": "nothing"})
    assert answer.status_code == 403
    event = await events.one(request)
    assert (event["service"], event["cause"], event["address"]) == ("portal", "form_expired", ADDRESS)


async def test_a_foreign_scan_is_not_shown_in_a_persons_dossier(
    member: Member, desk_of: Desk, events: SecurityLog
) -> None:
    clerk, attachment = await desk_of("clerk"), own_id()
    await attend(clerk, member.citizen.id)
    path = f"/staff/people/{member.citizen.id}/attachments/{attachment}/image"
    request, answer = await asked(clerk, "GET", path)
    assert answer.status_code == 404
    event = await events.one(request)
    assert (event["service"], event["cause"]) == ("portal", "foreign_object")
    assert event["target"] == {"person": member.citizen.id, "attachment_id": attachment}


async def test_a_log_in_that_fails_is_recorded_by_identity(
    hire: Hire, far: httpx2.AsyncClient, events: SecurityLog
) -> None:
    clerk, browsing = await hire("clerk"), Browsing(far)
    typed = {"username": clerk.login["username"], "password": "wrong", "totp": "000000"}
    csrf = await browsing.csrf("/staff/login")
    request, answer = await asked(browsing, "POST", "/staff/login", data=typed | {"csrf": csrf})
    assert answer.status_code == 401
    event = await events.one(request)
    assert (event["service"], event["cause"], event["address"]) == ("identity", "password_wrong", ADDRESS)
    assert clerk.login["username"] not in str(event)


async def test_a_redirect_to_the_log_in_is_not_a_denial(gateway: httpx2.AsyncClient, events: SecurityLog) -> None:
    for cookies in ({}, {COOKIE: "x" * 43}):
        request, answer = await asked(Browsing(gateway, cookies), "GET", "/file/basic")
        assert answer.status_code == 303
        assert (await events.of([request]))[request] == []


async def test_a_denial_through_another_service_is_recorded_once_with_the_callers_address(
    far: httpx2.AsyncClient, stack: RunningStack, issuer: TokenIssuer, events: SecurityLog, processes: Processes
) -> None:
    """Until its worker has read the record's event, attachments calls records for the owner."""
    stranger, owner, request = Caller(own_id(), "practitioner", session=own_id()), Person(far, issuer), own_id()
    headers, upload = bearer(issuer.issue(stranger)) | {"X-Request-Id": request}, {"file": ("scan.jpg", scan(72))}
    async with processes.down("attachments-worker"):
        record = (await owner.created())["record_id"]
        path = f"/api/attachments/records/{record}/attachment"
        answer = await far.post(path, headers=headers, files=upload, data={"title": "扫描件"})
    await processes.ready(stack.facts["services"]["attachments"]["worker"])
    assert answer.status_code == 404
    event = await events.one(request)
    assert (event["service"], event["caller"], event["address"]) == ("records", stranger.label, ADDRESS)
    assert event["target"] == {"record_id": record}


async def test_the_gateway_logs_the_client_address_and_no_query(far: httpx2.AsyncClient, stack: RunningStack) -> None:
    request, headers = own_id(), {"Authorization": "Bearer hunter2", "X-Access-Reason": "hunter2"}
    await far.post("/api/notify/receipts/tencent?token=hunter2", json=[], headers=headers | {"X-Request-Id": request})

    async def logged(text: str) -> list[str]:
        return [line for line in stack.log("gateway").read_text(errors="replace").splitlines() if text in line]

    [line] = await eventually(partial(logged, request), 10, "the gateway logs a request")
    assert f'"client_ip":"{ADDRESS}"' in line
    assert '"uri":"/api/notify/receipts/tencent?..."' in line
    assert "hunter2" not in stack.log("gateway").read_text(errors="replace")


async def test_any_user_agent_is_accepted(gateway: httpx2.AsyncClient, events: SecurityLog) -> None:
    """The User-Agent is passed to the services; one that was not ASCII broke the page."""
    request = own_id()
    headers = [(b"User-Agent", "浏览器 13800000000".encode()), (b"X-Request-Id", request.encode())]
    assert (await gateway.get("/login", headers=headers)).status_code == 200
    assert (await gateway.post("/logout", headers=headers)).status_code == 403
    assert "13800000000" not in str(await events.one(request))
