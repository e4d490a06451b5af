"""Staff log in with two factors, API clients with a secret; a refusal reveals nothing."""

from datetime import timedelta
from typing import Any

import httpx2
import pyotp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from deploy.local.stackfile import CLIENT_SCOPES
from kit.core.clock import ManualClock
from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Staff, Window, at_once, bearer
from tests.support.names import own_name
from tests.support.own_services import identity
from tests.support.problems import problem, retry_after_seconds
from tests.support.stack import RunningStack
from tests.support.staffing import Hire
from tests.support.tokens import token_settings

TOKEN = "/api/identity/oauth/token"
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def client(stack: RunningStack) -> tuple[str, str]:
    demo = stack.facts["demo"]["client"]
    return demo["client_id"], demo["client_secret"]


async def client_headers(gateway: httpx2.AsyncClient, client: tuple[str, str], **form: str) -> dict[str, str]:
    response = await gateway.post(TOKEN, data=GRANT | form, auth=client)
    assert response.status_code == 200, response.text
    return bearer(response.json()["access_token"])


async def test_a_clerk_logs_in_with_both_factors_and_the_code_works_once(clerk: Staff) -> None:
    if not clerk.tokens:
        await clerk.log_in()
    assert clerk.tokens["roles"] == ["clerk"]
    assert (clerk.tokens["token_type"], clerk.tokens["expires_in"] <= 300) == ("Bearer", True)
    spent = await clerk.try_to_log_in()
    if spent.status_code != 201:  # unless the next code is already valid
        problem(spent, 401, "login_failed")


async def test_a_member_of_staff_refreshes_the_session_and_logs_out(
    stack: RunningStack, gateway: httpx2.AsyncClient
) -> None:
    admin = Staff(gateway, stack.facts["demo"]["admin"])
    await admin.log_in()
    body = {"refresh_token": admin.tokens["refresh_token"]}
    tokens = (await gateway.post("/api/identity/tokens/refresh", json=body)).raise_for_status().json()
    ended = await gateway.delete("/api/identity/sessions/current", headers=bearer(tokens["access_token"]))
    assert ended.status_code == 204
    body = {"refresh_token": tokens["refresh_token"]}
    problem(await gateway.post("/api/identity/tokens/refresh", json=body), 401, "refresh_invalid")


async def test_an_admin_has_the_permissions_of_clerks_and_operators(hire: Hire) -> None:
    admin, operator, citizen = await hire("admin"), await hire("operator"), Citizen()
    assert (await admin.call("POST", WINDOW, json=citizen.card)).status_code == 201
    assert (await admin.call("GET", "/api/notify/messages")).status_code == 200
    assert (admin.tokens["roles"], bool(admin.tokens["staff_id"])) == (["admin"], True)
    problem(await operator.call("POST", WINDOW, json=Citizen().card), 403, "forbidden", citizen.number)


async def test_a_certificate_can_be_read_in_every_state(window: Window, login_page: LoginPage) -> None:
    citizen = await window.registered()
    path = f"{WINDOW}/{citizen.id}/certificate"
    why = {"X-Access-Reason": "test"}
    problem(await window.clerk.call("GET", path, headers=why), 404, "not_found")
    issued = (await window.issue(citizen)).json()
    session = await login_page.logged_in(citizen)
    assert (await session.call("GET", f"{WINDOW}/me/certificate")).json() == issued
    await window.revoke(citizen)
    revoked = (await window.clerk.call("GET", path, headers=why)).json()
    assert revoked == issued | {"state": "revoked", "updated_at": revoked["updated_at"]}


async def test_every_refusal_of_a_staff_login_is_the_same(operator: Staff) -> None:
    right = pyotp.TOTP(operator.login["totp_secret"]).now()
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    causes = [
        {"password": "wrong"}, {"totp": wrong}, {"password": "wrong", "totp": wrong}, {"username": own_name("nobody")},
        {"username": own_name("nobody"), "totp": wrong}, {"username": operator.login["username"].upper()},
    ]  # fmt: skip
    answers = [await operator.try_to_log_in(**cause) for cause in causes]
    for answer in answers:
        problem(answer, 401, "login_failed", operator.login["username"], operator.login["password"], right)
    assert len({answer.content for answer in answers}) == 1


async def test_guessing_at_one_account_is_slowed_down(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"username": own_name("nobody"), "password": "guess", "totp": "000000"}
    tries, waits, clock = 0, list[int](), ManualClock()
    async with identity(stack, monkeypatch, clock) as http:
        while len(waits) < 3:
            answer = await http.post("/api/identity/staff/sessions", json=body)
            if answer.status_code == 429:
                waits.append(retry_after_seconds(answer))
                clock.advance(timedelta(seconds=waits[-1] - 0.5))
                assert retry_after_seconds(await http.post("/api/identity/staff/sessions", json=body)) == 1
                clock.advance(timedelta(seconds=0.6))
            else:
                problem(answer, 401, "login_failed")
                tries += 1
    assert tries == 5
    assert waits == sorted(waits)
    assert waits[-1] >= 3 * waits[0]


async def test_concurrent_guesses_at_one_account_are_limited(gateway: httpx2.AsyncClient) -> None:
    body = {"username": own_name("nobody"), "password": "guess", "totp": "000000"}
    answers = await at_once(*(gateway.post("/api/identity/staff/sessions", json=body) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {401, 429}
    assert sum(answer.status_code == 401 for answer in answers) <= 10


@pytest.mark.parametrize("totp", ["12345", "１２３４５６", "abcdef", ""])
async def test_a_totp_code_has_six_digits(operator: Staff, totp: str) -> None:
    problem(await operator.try_to_log_in(totp=totp), 422, "invalid_fields")


async def test_a_client_finds_a_person_by_document(
    gateway: httpx2.AsyncClient, client: tuple[str, str], window: Window
) -> None:
    citizen, headers = await window.registered(), await client_headers(gateway, client)
    asked: dict[str, Any] = {"document_type": "resident_id", "document_number": citizen.number.lower()}
    found = await gateway.post(f"{WINDOW}/lookup", json=asked, headers=headers)
    assert (found.status_code, found.json()) == (200, {"practitioner_id": citizen.id})
    for missing in ({"document_number": Citizen().number}, {"document_type": "passport"}, {"document_number": "x"}):
        problem(
            await gateway.post(f"{WINDOW}/lookup", json=asked | missing, headers=headers),
            404,
            "not_found",
            citizen.number,
        )


async def test_a_client_with_the_scope_works_at_the_window(
    gateway: httpx2.AsyncClient, client: tuple[str, str]
) -> None:
    citizen, headers = Citizen(), await client_headers(gateway, client, scope="intake certificates:issue")
    registered = await gateway.post(WINDOW, json=citizen.card, headers=headers)
    assert registered.status_code == 201
    path = f"{WINDOW}/{registered.json()['practitioner_id']}/certificate"
    assert (await gateway.post(path, json={"phone": citizen.phone}, headers=headers)).status_code == 201


async def test_a_client_has_the_scopes_it_asked_for_and_no_others(
    gateway: httpx2.AsyncClient, client: tuple[str, str]
) -> None:
    headers = await client_headers(gateway, client, scope="practitioners:lookup")
    problem(await gateway.post(WINDOW, json=Citizen().card, headers=headers), 403, "forbidden")
    problem(await gateway.get(f"{WINDOW}/me", headers=headers), 404, "not_found")
    problem(await gateway.get("/api/notify/messages", headers=headers), 403, "forbidden")
    refused = await gateway.post(TOKEN, data=GRANT | {"scope": "everything:read"}, auth=client)
    assert problem(refused, 400, "invalid_scope")["error"] == "invalid_scope"


async def test_a_token_response_conforms_to_oauth(gateway: httpx2.AsyncClient, client: tuple[str, str]) -> None:
    response = await gateway.post(TOKEN, data=GRANT, auth=client)
    token = response.json()
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    assert (token["token_type"], token["expires_in"] <= 300) == ("Bearer", True)
    assert set(token["scope"].split()) == set(CLIENT_SCOPES)


async def test_a_client_is_refused_the_same_way_for_every_cause(
    gateway: httpx2.AsyncClient, client: tuple[str, str]
) -> None:
    answers = [
        await gateway.post(TOKEN, data=GRANT, auth=auth) for auth in ((client[0], "wrong"), (own_name("x"), client[1]))
    ]
    for answer in answers:
        body = problem(answer, 401, "invalid_client", *client)
        assert body["error"] == "invalid_client"
    assert answers[0].content == answers[1].content
    for header in ("", "Basic", "Basic !!!", "Basic bm8gY29sb24=", "Bearer x", "Basic /////w=="):
        answer = await gateway.post(TOKEN, data=GRANT, headers={"Authorization": header})
        problem(answer, 401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}, {"grant_type": ""}])
async def test_other_grants_are_refused(
    gateway: httpx2.AsyncClient, client: tuple[str, str], form: dict[str, str]
) -> None:
    assert (await gateway.post(TOKEN, data=form, auth=client)).status_code in (400, 422)


async def test_a_token_can_be_verified_by_the_published_keys(
    stack: RunningStack, gateway: httpx2.AsyncClient, client: tuple[str, str]
) -> None:
    document = (await gateway.get("/api/identity/.well-known/jwks.json")).json()
    assert document["keys"]
    for key in document["keys"]:
        assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "Ed25519")
        assert "d" not in key
    token = (await client_headers(gateway, client))["Authorization"].removeprefix("Bearer ")
    decoded = jwt.decode(token, KeySet.import_key_set(document), algorithms=["Ed25519"])
    settings = token_settings(stack)
    claims = decoded.claims
    assert decoded.header["typ"] == "at+jwt"
    assert (claims["iss"], claims["aud"], claims["sub"]) == (settings.issuer, settings.audience, client[0])
    assert claims["exp"] - claims["iat"] <= 300
