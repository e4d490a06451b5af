"""An erasure: of fourteen marker texts in every part of a dossier, none is left anywhere."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from kit import kafka
from kit.kafka.topics import read_file
from kit.security.tokens import TokenIssuer
from tests.attachments.conftest import Uploader
from tests.records.test_kinds import CREDIT
from tests.support.dead_letters import store_dead_letter
from tests.support.erasure import Colleague, have_erased
from tests.support.identity_clients import Citizen, LoginPage, Window
from tests.support.people import EDUCATION, Person
from tests.support.portal import import_record
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.stored_data import SERVICES, everything, find_markers, held, in_topics, own
from tests.support.waiting import eventually

pytestmark = pytest.mark.all_data
AT_ONCE = {
    "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "100", "segment.ms": "100", "delete.retention.ms": "0",
    "min.cleanable.dirty.ratio": "0.01",
}  # fmt: skip
REMEMBER = {f"{service}.{name}" for service in SERVICES for name in ("erased", "tombstones")}
"""Where the id of who was erased, and of their documents, stays."""


@dataclass
class Marked:
    """A person whose dossier is full of marker texts."""

    citizen: Citizen
    marks: list[str]
    sealed: list[str] = field(default_factory=list)  # never in plain text, before or after


def mark() -> str:
    return f"㐂{secrets.token_hex(6)}"


@pytest_asyncio.fixture
async def marked(
    stack: RunningStack, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> Marked:
    name, authority, device, school, major, title, why, agent, cause = (mark() for _ in range(9))
    name = "㐂" + "".join(chr(0x4E00 + secrets.randbelow(0x4000)) for _ in range(7))
    citizen = Citizen()
    citizen.card |= {"name": name, "authority": authority, "reader": {"device_id": device}}
    citizen.card["address"] = f"上海市黄浦区{mark()}"
    answer = await window.read_card(citizen)
    assert answer.status_code == 201, answer.text
    citizen.id = answer.json()["practitioner_id"]
    assert (await window.issue(citizen)).status_code == 201
    login = LoginPage(gateway, login_page.redis, login_page.inbox)
    challenge = await login.challenge(citizen)
    body = {"challenge_id": challenge, "code": await login.code(citizen.phone)}
    plain_agent = agent.removeprefix("㐂")
    entered = await gateway.post("/api/identity/login/sessions", json=body, headers={"User-Agent": plain_agent})
    assert entered.status_code == 201, entered.text
    person = Person(gateway, issuer, citizen.id)
    record = await person.created(EDUCATION | {"school": school, "major": major})
    changed = await person.change(record["record_id"], 1, EDUCATION | {"school": school})
    assert changed.status_code == 200, changed.text
    wrong, reply = mark(), mark()
    credit = await import_record(stack, citizen.id, "credit", CREDIT)
    dispute = await person.call("POST", f"/api/records/records/{credit}/disputes", json={"text": wrong})
    closing = {"outcome": "corrected", "reason": reply}
    path = f"/api/records/disputes/{dispute.json()['dispute_id']}/close"
    assert (await window.clerk.call("POST", path, json=closing)).status_code == 200
    inside = secrets.token_hex(12)
    uploader = Uploader(person)
    await uploader.sent(record["record_id"], scan(seed=7, comment=inside.encode()), title)
    await uploader.verdict(record["record_id"])
    assert (await person.call("POST", "/api/signature/practitioners/me/forms")).status_code == 201
    sheet = {"file": ("form.jpg", scan(seed=8), "image/jpeg")}
    sent = await person.call("POST", "/api/signature/practitioners/me/signature", files=sheet)
    assert sent.status_code == 202, sent.text
    reason = {"X-Access-Reason": quote(why)}
    seen = await window.clerk.call("GET", f"/api/records/practitioners/{citizen.id}/records", headers=reason)
    assert seen.status_code == 200, seen.text
    await store_dead_letter(stack, "a bug", citizen.id, cause.encode())
    plain = [name, authority, device, school, major, title, why, plain_agent, cause, wrong, reply, inside]
    return Marked(citizen, plain, [citizen.number, citizen.phone])


@pytest_asyncio.fixture
async def compacting(stack: RunningStack) -> AsyncIterator[None]:
    """Kafka compacts within seconds; afterwards as deploy/topics.yaml configures."""
    topics = [
        topic for topic in read_file(Path("deploy/topics.yaml"))
        if own(topic.name) and topic.config.get("cleanup.policy") == "compact"
    ]  # fmt: skip
    async with kafka.admin(stack.kafka_settings()) as admin:
        for topic in topics:
            await admin.configure(topic.name, topic.config | AT_ONCE)
        yield
        for topic in topics:
            await admin.configure(topic.name, topic.config)


async def test_nothing_is_left_of_an_erased_person(
    stack: RunningStack, gateway: httpx2.AsyncClient, issuer: TokenIssuer, marked: Marked, compacting: None,
    redis: "Redis",
) -> None:  # fmt: skip
    person, marks = marked.citizen.id, [*marked.marks, *marked.sealed]
    assert len(marks) == 14

    async def arrived() -> bool:
        return {"identity.accesses", "notify.messages"} <= await held(stack, person)

    await eventually(arrived, 60, "the data has reached the other services")
    assert all((await find_markers(everything(stack, redis), marked.marks)).values()), (
        "every marker is stored somewhere"
    )
    await have_erased(gateway, issuer, person)

    async def gone() -> bool:
        return await held(stack, person) <= {*REMEMBER, "identity.erasures"}

    await eventually(gone, 60, "every service erased them", pause=0.5)
    await asyncio.sleep(0.5)  # so that Kafka's next writes start new segments
    assert (await Colleague(gateway, issuer).asks(person)).json()["times"] == 2

    async def compacted() -> bool:
        return not any((await find_markers(in_topics(stack), marks)).values())

    await eventually(compacted, 120, "Kafka compacted its topics", pause=0.5)
    remain = await find_markers(everything(stack, redis), [*marks, person])
    assert {each: remain[each] for each in marks} == {each: set() for each in marks}
    allowed = {*REMEMBER, "identity.audit_trail", "identity.erasures", "identity.changes", "logs", "redis"}
    tombstones = {f"{service}.changes" for service in SERVICES}
    assert remain[person] <= allowed | tombstones
