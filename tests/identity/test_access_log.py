"""Access to a dossier by others: needs a reason, is audited before it is served, is shown to the person."""

from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from kit.security.tokens import Caller, TokenIssuer
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Session, Window, bearer
from tests.support.names import own_id
from tests.support.people import EDUCATION, OWN
from tests.support.problems import fields_of, problem
from tests.support.scans import scan
from tests.support.waiting import eventually

WHY = "窗口受理：核对证件有效期"
REASON = {"X-Access-Reason": quote(WHY)}


def log_of(citizen: Citizen) -> str:
    return f"{WINDOW}/{citizen.id}/access-log"


async def entries(session: Session, count: int) -> list[dict[str, Any]]:
    """The entries that the person sees, newest first, once there are `count`."""

    async def shown() -> list[dict[str, Any]]:
        items = (await session.call("GET", f"{WINDOW}/me/access-log")).raise_for_status().json()["items"]
        return list(items) if len(items) >= count else []

    return await eventually(shown, 20, f"{count} entries are shown")


async def test_access_by_a_clerk_needs_a_reason_and_the_person_sees_it(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    made = await session.call("POST", OWN, json={"kind": "education", "data": EDUCATION})
    record = made.json()["record_id"]
    scans = f"/api/attachments/records/{record}/attachment"
    form: dict[str, Any] = {"files": {"file": ("a.jpg", scan(72))}, "data": {"title": "学历证书"}}
    attachment = (await session.call("POST", scans, **form)).json()["attachment_id"]
    paths = {
        "attachment": scans,
        "practitioner": f"{WINDOW}/{citizen.id}",
        "portrait": f"{WINDOW}/{citizen.id}/portrait",
        "certificate": f"{WINDOW}/{citizen.id}/certificate",
        "records": f"/api/records/practitioners/{citizen.id}/records",
        "record": f"/api/records/records/{record}",
    }
    for path in paths.values():
        refused = problem(await window.clerk.call("GET", path), 422, "invalid_fields")
        assert fields_of(refused) == {"X-Access-Reason": "reason_required"}
        assert (await window.clerk.call("GET", path, headers=REASON)).status_code == 200
    found = await entries(session, len(paths))
    assert sorted(entry["what"] for entry in found) == sorted(paths)
    assert {(entry["role"], entry["reason"]) for entry in found} == {("clerk", WHY)}
    assert {entry["document_id"] for entry in found} == {citizen.id, record, attachment}
    assert len({entry["who"] for entry in found}) == 1


async def test_access_by_a_client_with_the_scope_is_audited(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window, login_page: LoginPage
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    client = Caller("qualification-7", "client", scopes=frozenset({"practitioners:read"}))
    headers = bearer(issuer.issue(client))
    assert (await gateway.get(f"{WINDOW}/{citizen.id}", headers=headers)).json()["name"] == citizen.card["name"]
    problem(await gateway.get(f"/api/records/practitioners/{citizen.id}/records", headers=headers), 404, "not_found")
    assert [(entry["who"], entry["role"], entry["what"]) for entry in await entries(session, 1)] == [
        ("qualification-7", "client", "practitioner")
    ]


async def test_reading_ones_own_dossier_is_not_audited(window: Window, login_page: LoginPage) -> None:
    session = await login_page.logged_in(await window.enrolled())
    for path in (f"{WINDOW}/me", OWN):
        assert (await session.call("GET", path)).status_code == 200
    assert (await session.call("GET", f"{WINDOW}/me/access-log")).json() == {"items": [], "next_cursor": None}


async def test_a_caller_without_access_sees_nothing(
    gateway: httpx2.AsyncClient, issuer: TokenIssuer, window: Window, login_page: LoginPage
) -> None:
    citizen = await window.registered()
    neighbour = await login_page.logged_in(await window.enrolled())
    operator = bearer(issuer.issue(Caller(own_id(), "staff", roles=frozenset({"operator"}))))
    for path in (f"{WINDOW}/{citizen.id}", log_of(citizen), f"/api/records/practitioners/{citizen.id}/records"):
        problem(await gateway.get(path, headers=operator | REASON), 404, "not_found", *citizen.secrets)
        problem(await neighbour.call("GET", path, headers=REASON), 404, "not_found", *citizen.secrets)
    problem(await window.clerk.call("GET", f"{WINDOW}/me", headers=REASON), 404, "not_found")


@pytest.mark.parametrize("reason", ["%20", "x" * 201, "a%00b", "a%0Ab", "%FF%00"])
async def test_an_access_reason_is_one_sentence(window: Window, reason: str) -> None:
    citizen = await window.registered()
    answer = await window.clerk.call("GET", f"{WINDOW}/{citizen.id}", headers={"X-Access-Reason": reason})
    assert list(fields_of(problem(answer, 422, "invalid_fields"))) == ["X-Access-Reason"]


async def test_the_log_has_pages(window: Window, login_page: LoginPage) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    for _ in range(3):
        await window.clerk.call("GET", f"{WINDOW}/{citizen.id}", headers=REASON)
    everything = await entries(session, 3)
    first = (await session.call("GET", f"{WINDOW}/me/access-log", params={"limit": 2})).json()
    rest = (
        await session.call("GET", f"{WINDOW}/me/access-log", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()
    assert first["items"] + rest["items"] == everything
    assert rest["next_cursor"] is None
