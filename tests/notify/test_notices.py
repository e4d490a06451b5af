"""Notices about the digital certificate, the stored contacts, and which messages an operator may send again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from contracts.attachments import AttachmentChanged
from contracts.identity import CONTACT_CONTEXT, CertificateChanged, ErasureRequested
from deploy.local.people import random_phone
from kit import mongo
from kit.security.encryption import Cipher
from services.notify.templates import CATALOGUE
from tests.notify.test_messages import MESSAGES, message_about
from tests.notify.test_receipts import stored
from tests.support.identity_clients import Citizen, LoginPage, Session, Staff, Window
from tests.support.names import own_id
from tests.support.people import EDUCATION, OWN
from tests.support.problems import problem
from tests.support.scans import scan
from tests.support.sender import Sending, own_sending, own_settings
from tests.support.sms import PROVIDERS, Carriers, Codes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually


async def notices(operators: Carriers, phone: str, purpose: str) -> int:
    """How many of these notices this phone has received."""
    text = CATALOGUE[purpose].text
    return sum(message["text"].endswith(text) for message in await operators.inbox(phone))


async def arrives(operators: Carriers, phone: str, purpose: str) -> None:
    await eventually(lambda: notices(operators, phone, purpose), 20, f"{purpose} arrives")


async def contact(stack: RunningStack, citizen: Citizen) -> dict[str, Any]:
    async with mongo.connect(stack.mongo, "notify") as database:
        return dict(await database["contacts"].find_one({"_id": citizen.id}) or {})


async def test_the_bound_phone_is_notified_of_every_change_of_the_certificate(
    window: Window, sms_operators: Carriers, stack: RunningStack
) -> None:
    citizen, other = await window.enrolled(), random_phone()
    await arrives(sms_operators, citizen.phone, "certificate_issued")
    await window.rebind(citizen, other)
    await arrives(sms_operators, other, "certificate_rebound")
    await arrives(sms_operators, citizen.phone, "certificate_moved")
    known = await contact(stack, citizen)
    assert known["version"] == 2
    assert other not in str(known), "sealed"
    await window.revoke(citizen)
    await arrives(sms_operators, other, "certificate_revoked")

    async def forgotten() -> bool:
        return (await contact(stack, citizen))["phone_sealed"] is None

    await eventually(forgotten, 10, "the contact is removed")
    assert len(await sms_operators.inbox(citizen.phone)) == 2
    assert len(await sms_operators.inbox(other)) == 3, "with the code that bound it"


async def uploaded(session: Session, content: bytes) -> tuple[str, str]:
    """A scan of a new record: the record's id, the attachment's."""
    made = await session.call("POST", OWN, json={"kind": "education", "data": EDUCATION})
    record = made.json()["record_id"]
    sent = await session.call("POST", scan_of(record), files={"file": ("a.jpg", content)}, data={"title": "学历证书"})
    assert sent.status_code == 202, sent.text
    return record, sent.json()["attachment_id"]


def scan_of(record: str) -> str:
    return f"/api/attachments/records/{record}/attachment"


REFUSED = scan(72, density=(150, 150))


async def test_a_refused_scan_is_notified_if_the_person_left_before_the_verdict(
    window: Window, login_page: LoginPage, sms_operators: Carriers
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    for content in (scan(72), REFUSED):
        await uploaded(session, content)
    await arrives(sms_operators, citizen.phone, "scan_refused")
    assert await notices(sms_operators, citizen.phone, "scan_refused") == 1


async def test_no_notice_is_sent_after_the_verdict_was_seen_or_replaced(
    window: Window, login_page: LoginPage, sms_operators: Carriers, operator: Staff, stack: RunningStack
) -> None:
    citizen = await window.enrolled()
    session = await login_page.logged_in(citizen)
    (watched, first), (replaced, second) = await uploaded(session, REFUSED), await uploaded(session, REFUSED)

    async def refused() -> bool:
        return bool((await session.call("GET", scan_of(watched))).json()["state"] == "refused")

    await eventually(refused, 20, "the person sees that it is refused")
    await message_about(operator, second, "queued")
    assert (await session.call("DELETE", scan_of(replaced))).status_code == 204
    for about in (first, second):
        assert (await message_about(operator, about, "expired"))["reason"] == "not_needed"
    assert await notices(sms_operators, citizen.phone, "scan_refused") == 0
    async with mongo.connect(stack.mongo, "attachments") as database:
        seen = await database["attachments"].find_one({"_id": first}) or {}
    for _ in range(3):
        await session.call("GET", scan_of(watched))
    async with mongo.connect(stack.mongo, "attachments") as database:
        assert (await database["attachments"].find_one({"_id": first}) or {})["version"] == seen["version"] == 3


def judged(person: str, attachment: str, version: int, **changes: Any) -> AttachmentChanged:
    """The verdict as attachments publishes it."""
    return AttachmentChanged.model_validate(
        {
            "practitioner_id": person, "version": version, "action": "x", "changed": [], "at": datetime.now(UTC),
            "attachment_id": attachment, "record_id": own_id(), "kind": "education", "state": "refused", "title": "a",
            "reasons": [], "warnings": [], "sha256": "0", "size": 1, "width": None, "height": None, "dpi": None,
        } | changes
    )  # fmt: skip


async def test_a_notice_is_delayed_withdrawn_once_and_not_recreated_by_a_replay(stack: RunningStack) -> None:
    operator = stack.facts["sms_inbox"].removeprefix("http://")
    settings = {"NOTICES__WAIT_SECONDS": "600"}
    async with own_sending(stack, dict.fromkeys(PROVIDERS, operator), settings) as sending:
        bus, person, attachment = own_settings(stack, {}, {}).bus, own_id(), own_id()
        issued = certificate(1, "issued", random_phone(), person=person, bus=bus)
        await sending.requests.certificate_changed(issued)
        refused, seen = judged(person, attachment, 2), judged(person, attachment, 3, seen=True)
        await sending.requests.attachment_changed(refused)
        waiting = await sending.about(attachment)
        assert waiting.due_at
        assert (waiting.state, waiting.attempts) == ("queued", 0)
        assert waiting.due_at - waiting.created_at == timedelta(seconds=600)
        for event in (seen, refused, seen, judged(person, attachment, 4, state="deleted")):
            await sending.requests.attachment_changed(event)
        withdrawn = await sending.about(attachment)
        assert (withdrawn.state, withdrawn.reason, withdrawn.version) == ("expired", "not_needed", 2)
        assert (withdrawn.phone_sealed, withdrawn.due_at) == (None, None)
        assert await sending.database["messages"].count_documents({"about": attachment}) == 1


async def test_a_notice_waits_for_the_certificate_if_its_event_is_consumed_first(
    stack: RunningStack, endpoint: str, operators: Carriers
) -> None:
    """The events come from two topics, and nobody's erasure may go unnoticed because one group has a backlog."""
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), {}) as sending:
        bus, person, phone = own_settings(stack, {}, {}).bus, own_id(), random_phone()
        erasure = erasure_of(person)
        await sending.requests.erasure_requested(erasure)
        await eventually(lambda: postponed(sending, erasure.erasure_id), 10, "the sender has looked in vain")
        await sending.requests.certificate_changed(certificate(1, "issued", phone, person=person, bus=bus))
        await sending.reaches(erasure.erasure_id, "sent", "delivered")
        assert await notices(operators, phone, "erasure_requested") == 1


async def test_a_notice_ends_if_no_phone_is_bound_any_more_or_none_becomes_known(
    stack: RunningStack, endpoint: str
) -> None:
    async with own_sending(stack, dict.fromkeys(PROVIDERS, endpoint), {"NOTICES__LIFETIME_SECONDS": "2"}) as sending:
        bus, gone, unknown = own_settings(stack, {}, {}).bus, own_id(), own_id()
        await sending.requests.certificate_changed(certificate(1, "revoked", None, person=gone, bus=bus))
        for erasure in (erasure_of(gone), erasure_of(unknown)):
            await sending.requests.erasure_requested(erasure)
            ended = await sending.reaches(erasure.erasure_id, "expired")
            assert (ended.reason, ended.attempts, ended.phone_hint) == ("no_phone", 0, "")


def erasure_of(person: str) -> ErasureRequested:
    return ErasureRequested(
        practitioner_id=person, version=1, action="requested", changed=[], at=datetime.now(UTC), erasure_id=own_id()
    )


async def postponed(sending: Sending, about: str) -> bool:
    return (await sending.about(about)).reason == "no_phone"


def certificate(version: int, action: str, phone: str | None, **changes: Any) -> CertificateChanged:
    """A certificate event as identity publishes it, for `changes["person"]`."""
    person = changes.pop("person")
    bus = Cipher(changes.pop("bus"))
    return CertificateChanged(
        practitioner_id=person, version=version, action=action, changed=[], certificate_id=person,
        at=changes.pop("at", datetime.now(UTC)), certificate_no="1", state="active" if phone else "revoked",
        contact=bus.encrypt(phone, f"{CONTACT_CONTEXT}:{person}") if phone else None,
    )  # fmt: skip


async def test_a_repeated_or_late_change_sends_no_notice(stack: RunningStack) -> None:
    """A consumer that reads identity's topic from the beginning must not notify a whole city."""
    operator = stack.facts["sms_inbox"].removeprefix("http://")
    async with own_sending(stack, dict.fromkeys(PROVIDERS, operator), {}, running=False) as sending:
        bus, person, phone = own_settings(stack, {}, {}).bus, own_id(), random_phone()
        old = datetime.now(UTC) - timedelta(hours=25)
        issued = certificate(1, "issued", phone, person=person, bus=bus, at=old)
        revoked = certificate(2, "revoked", None, person=person, bus=bus)
        for event in (issued, revoked, issued, revoked):
            await sending.requests.certificate_changed(event)
        page, _ = await sending.messages.page(None, None, None, 10)
        assert [message.purpose for message in page] == ["certificate_revoked"]
        kept = await sending.database["contacts"].find_one({"_id": person})
        assert kept == {"_id": person, "version": 2, "phone_sealed": None}


async def test_a_rebinding_notifies_both_phones_once_despite_repeated_events(stack: RunningStack) -> None:
    """The old phone's notice is how a person learns of a takeover of their certificate."""
    operator = stack.facts["sms_inbox"].removeprefix("http://")
    async with own_sending(stack, dict.fromkeys(PROVIDERS, operator), {}, running=False) as sending:
        bus, person, old, new = own_settings(stack, {}, {}).bus, own_id(), random_phone(), random_phone()
        issued = certificate(1, "issued", old, person=person, bus=bus)
        rebound = certificate(2, "rebound", new, person=person, bus=bus)
        same = certificate(3, "rebound", new, person=person, bus=bus)
        for event in (issued, rebound, rebound, issued, rebound, same, same):
            await sending.requests.certificate_changed(event)
        page, _ = await sending.messages.page(None, None, None, 10)
        assert sorted((message.purpose, message.phone_hint[-4:]) for message in page) == [
            ("certificate_issued", old[-4:]), ("certificate_moved", old[-4:]),
            ("certificate_rebound", new[-4:]), ("certificate_rebound", new[-4:]),
        ]  # fmt: skip


async def test_contacts_are_stored_also_with_notices_turned_off(stack: RunningStack) -> None:
    off = {"NOTICES__CERTIFICATES": "false"}
    async with own_sending(stack, {}, off, running=False) as sending:
        bus, person = own_settings(stack, {}, {}).bus, own_id()
        event = certificate(1, "issued", random_phone(), person=person, bus=bus)
        await sending.requests.certificate_changed(event)
        assert (await sending.messages.page(None, None, None, 10))[0] == []
        assert (await sending.database["contacts"].find_one({"_id": person}) or {})["phone_sealed"]


async def test_a_notice_with_unknown_outcome_is_retried_under_the_same_id(
    window: Window, sms_operators: Carriers, operator: Staff, stack: RunningStack
) -> None:
    await sms_operators.behave("tencent", "hang", seconds=5)
    await sms_operators.behave("aliyun", "refuse")
    citizen = await window.enrolled()

    async def postponed() -> bool:
        page = (await operator.call("GET", MESSAGES, params={"state": "queued"})).json()
        return any(item["phone_hint"][-4:] == citizen.phone[-4:] and item["reason"] for item in page["items"])

    await eventually(postponed, 20, "the notice was tried in vain")
    await sms_operators.well()
    await arrives(sms_operators, citizen.phone, "certificate_issued")
    assert len(await sms_operators.inbox(citizen.phone)) == 1
    assert [each["out_id"] for each in await sms_operators.inbox(citizen.phone)] == [await notice_to(stack, citizen)]


async def notice_to(stack: RunningStack, citizen: Citizen, **wanted: str) -> str:
    """The id of this person's notice, or nothing."""
    async with mongo.connect(stack.mongo, "notify") as database:
        found = await database["messages"].find_one({"practitioner_id": citizen.id, **wanted})
    return str(found["_id"]) if found else ""


@pytest.fixture
async def failed_notice(window: Window, sms_operators: Carriers, stack: RunningStack) -> tuple[Citizen, str]:
    await sms_operators.behave("tencent", receipts="fail")
    citizen = await window.enrolled()
    message_id = await eventually(lambda: notice_to(stack, citizen, state="failed"), 20, "the notice has failed")
    await sms_operators.well()
    return citizen, message_id


async def retry(caller: Staff, message_id: str) -> httpx2.Response:
    return await caller.call("POST", f"{MESSAGES}/{message_id}/retry")


async def test_a_failed_notice_can_be_sent_again(
    failed_notice: tuple[Citizen, str], operator: Staff, sms_operators: Carriers, stack: RunningStack
) -> None:
    citizen, message_id = failed_notice
    answer = await retry(operator, message_id)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    message = await message_about(operator, answer.json()["about"])
    assert message["attempts"] == 2
    assert await notices(sms_operators, citizen.phone, "certificate_issued") == 2
    problem(await retry(operator, message_id), 409, "not_failed")
    history = (await stored(stack, message_id))["history"]
    assert [entry["by"] for entry in history if entry["action"] == "queued"][1].startswith("staff:")


async def test_only_an_operator_can_resend_and_only_an_existing_message(
    failed_notice: tuple[Citizen, str], window: Window, operator: Staff
) -> None:
    problem(await retry(window.clerk, failed_notice[1]), 403, "forbidden")
    problem(await retry(operator, own_id()), 404, "not_found")


async def test_a_code_cannot_be_resent_by_an_operator(codes: Codes, sms_operators: Carriers, operator: Staff) -> None:
    await sms_operators.behave("tencent", receipts="fail")
    [challenge] = await codes.ask()
    message = await message_about(operator, challenge, "failed")
    problem(await retry(operator, message["message_id"]), 409, "code_not_retried")
