"""The main journey, from the window to the downstream qualification system, as one story."""

import httpx2
import orjson

from tests.support.identity_clients import WINDOW, Citizen, LoginPage, Session, Staff, Window, bearer
from tests.support.people import EDUCATION, OWN
from tests.support.stack import RunningStack
from tests.support.subscriber import Records, Subscriber, headers_of


async def test_from_the_window_to_the_qualification_system(
    stack: RunningStack, gateway: httpx2.AsyncClient, clerk: Staff, login_page: LoginPage
) -> None:
    downstream = Subscriber(stack.kafka, "records.changes")
    await downstream.skip()

    # A practitioner shows their card at a window and leaves with a digital certificate.
    window, citizen = Window(clerk, login_page.inbox), Citizen()
    registered = await window.read_card(citizen)
    assert registered.status_code == 201
    citizen.id = registered.json()["practitioner_id"]
    assert (await window.issue(citizen)).status_code == 201

    # At home they ask for a code, type what the phone shows, and are in.
    asked = await login_page.ask(citizen)
    assert asked.status_code == 202
    challenge = asked.json()["challenge_id"]
    answer = await login_page.try_code(challenge, await login_page.code(citizen.phone))
    assert answer.status_code == 201
    session = Session(gateway, answer.json())
    me = (await session.call("GET", f"{WINDOW}/me")).json()
    assert (me["name"], me["practitioner_id"]) == (citizen.card["name"], citizen.id)

    # They add their education, notice a slip, and correct it.
    added = await session.call("POST", OWN, json={"kind": "education", "data": EDUCATION})
    assert added.status_code == 201
    match = {"If-Match": added.headers["ETag"]}
    corrected = EDUCATION | {"major": "结构工程"}
    changed = await session.call("PUT", added.headers["Location"], json={"data": corrected}, headers=match)
    assert changed.status_code == 200

    # The qualification system receives both versions, in order, and reads the person from identity.
    def of_citizen(records: Records) -> Records:
        return [record for record in records if orjson.loads(record.value)["practitioner_id"] == citizen.id]

    records = of_citizen(await downstream.until(lambda found: len(of_citizen(found)) == 2, 20, "both versions"))
    events = [orjson.loads(record.value) for record in records]
    assert [headers_of(record)["ce_type"] for record in records] == ["records.record.changed.v1"] * 2
    assert [(event["version"], event["data"]["major"]) for event in events] == [(1, "土木工程"), (2, "结构工程")]
    assert events[1]["record_id"] == added.json()["record_id"]
    client = stack.facts["demo"]["client"]
    token = await gateway.post(
        "/api/identity/oauth/token", data={"grant_type": "client_credentials"},
        auth=(client["client_id"], client["client_secret"]),
    )  # fmt: skip
    found = await gateway.post(
        f"{WINDOW}/lookup", headers=bearer(token.json()["access_token"]),
        json={"document_type": "resident_id", "document_number": citizen.number},
    )  # fmt: skip
    assert found.json() == {"practitioner_id": events[0]["practitioner_id"]}

    # They log out, and the session is over.
    assert (await session.call("DELETE", "/api/identity/sessions/current")).status_code == 204
    assert (await session.refresh()).status_code == 401
