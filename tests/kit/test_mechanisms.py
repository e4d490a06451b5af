"""The small mechanisms of the kit that need no server: encryption, documents, logs, errors, clock, health."""

import asyncio
import secrets
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from kit.core.clock import ManualClock, SystemClock, rfc3339, shanghai_date
from kit.core.documents import Document
from kit.core.errors import InvalidFields
from kit.core.ids import derived_id, is_id, new_id
from kit.observability.log import REDACTED, redact
from kit.runtime.health import StallDetector
from kit.security.encryption import Cipher, DecryptionError, constant_time_equal, keyed_hash, looks_encrypted
from kit.settings import KeyRing


def ring(current: str, **keys: bytes) -> KeyRing:
    return KeyRing.model_validate({"current": current, "keys": {kid: b64encode(key) for kid, key in keys.items()}})


ONE, TWO = secrets.token_bytes(32), secrets.token_bytes(32)


@given(st.text())
def test_an_encrypted_text_is_decrypted_in_its_context_and_reveals_nothing(text: str) -> None:
    cipher = Cipher(ring("k1", k1=ONE))
    sealed = cipher.encrypt(text, "phone:1")
    assert cipher.decrypt(sealed, "phone:1") == text
    assert sealed != cipher.encrypt(text, "phone:1")
    assert len(text) < 4 or text not in sealed


def test_an_encrypted_text_is_not_decrypted_in_another_context_or_when_damaged() -> None:
    cipher = Cipher(ring("k1", k1=ONE))
    sealed = cipher.encrypt("13800005678", "phone:1")
    flipped = sealed[:-3] + ("A" if sealed[-3] != "A" else "B") + sealed[-2:]
    for text, context in ((sealed, "phone:2"), (flipped, "phone:1"), (sealed[:-4], "phone:1"), ("", "phone:1"),
                          ("k9" + sealed[2:], "phone:1"), ("k1.", "phone:1"), ("k1.!!!", "phone:1")):  # fmt: skip
        with pytest.raises(DecryptionError):
            cipher.decrypt(text, context)


def test_an_old_key_still_decrypts_and_the_new_one_encrypts() -> None:
    old = Cipher(ring("k1", k1=ONE)).encrypt("secret", "here")
    both = Cipher(ring("k2", k1=ONE, k2=TWO))
    assert both.decrypt(old, "here") == "secret"
    assert both.encrypt("secret", "here").startswith("k2.")


def test_an_encrypted_file_differs_from_an_image_in_its_first_bytes() -> None:
    for kid in ("k1", "2026-11", "2026/11 b"):
        assert looks_encrypted(Cipher(ring(kid, **{kid: ONE})).encrypt_bytes(b"\xff\xd8\xff", "file:1"))
    for picture in (b"\xff\xd8\xff\xe0 k1.", b"\x89PNG\r\n\x1a\n k1.", b""):
        assert not looks_encrypted(picture)


def test_a_file_is_encrypted_like_a_field() -> None:
    content = bytes(range(256)) * 4
    old, both = Cipher(ring("k1", k1=ONE)), Cipher(ring("k2", k1=ONE, k2=TWO))
    sealed = old.encrypt_bytes(content, "portrait:1")
    assert sealed.startswith(b"k1.")
    assert content[:64] not in sealed
    assert both.decrypt_bytes(sealed, "portrait:1") == content
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong, context in (
        (damaged, "portrait:1"),
        (sealed, "portrait:2"),
        (b"k9" + sealed[2:], "portrait:1"),
        (b"", ""),
    ):
        with pytest.raises(DecryptionError):
            both.decrypt_bytes(wrong, context)


@pytest.mark.parametrize("weak", [b"short", b"\0" * 32, b"password" * 4])
def test_weak_keys_are_refused_and_never_shown(weak: bytes) -> None:
    with pytest.raises(ValidationError, match="openssl rand"):
        ring("k1", k1=weak)
    assert repr(ONE)[2:12] not in repr(ring("k1", k1=ONE))


def test_a_keyed_hash_is_equal_for_equal_parts_only() -> None:
    assert keyed_hash(ONE, "a", "b") == keyed_hash(ONE, "a", "b")
    others = {keyed_hash(ONE, "ab"), keyed_hash(ONE, "a", "c"), keyed_hash(TWO, "a", "b"), keyed_hash(ONE, "", "ab")}
    assert keyed_hash(ONE, "a", "b") not in others
    assert len(others) == 4
    assert constant_time_equal("one", "one")
    assert not constant_time_equal("one", "two")


class Note(Document):
    text: str
    tags: list[str] = Field(default=[])

    def changed_to(self, text: str, tags: list[str], *, at: datetime, by: str) -> Self:
        return self.next_version({"text": text, "tags": tags}, at=at, by=by, action="changed")


AT = datetime(2026, 11, 24, tzinfo=UTC)


def test_each_version_is_in_the_documents_own_history() -> None:
    first = Note.first(at=AT, by="zhang", action="created", id="1", text="one")
    second = first.changed_to("two", ["x"], at=AT + timedelta(days=1), by="clerk")
    assert (first.version, second.version) == (1, 2)
    assert first.history[0].model_dump()["changes"] == [
        {"field": "text", "old": None, "new": "one"}, {"field": "tags", "old": None, "new": []}
    ]  # fmt: skip
    last = second.history[1]
    assert (last.by, last.action, last.version) == ("clerk", "changed", 2)
    assert last.model_dump()["changes"] == [
        {"field": "text", "old": "one", "new": "two"}, {"field": "tags", "old": [], "new": ["x"]}
    ]  # fmt: skip
    assert (second.changed, second.created_at) == (["text", "tags"], AT)
    assert first.text == "one"


def test_an_unknown_field_is_refused_in_every_version() -> None:
    with pytest.raises(ValidationError, match="txt"):
        Note.first(at=AT, by="zhang", action="created", id="1", text="one", txt="two")
    with pytest.raises(KeyError, match="txt"):
        Note.first(at=AT, by="zhang", action="created", id="1", text="").next_version(
            {"txt": "two"}, at=AT, by="zhang", action="changed"
        )


@given(st.lists(st.tuples(st.text(max_size=5), st.lists(st.text(max_size=3), max_size=3)), max_size=8))
def test_the_history_leads_to_the_current_state(steps: list[tuple[str, list[str]]]) -> None:
    note = Note.first(at=AT, by="a", action="created", id="1", text="")
    for text, tags in steps:
        note = note.changed_to(text, tags, at=AT, by="a")
    told: dict[str, object] = {}
    for entry in note.history:
        told |= {change["field"]: change["new"] for change in entry.model_dump()["changes"]}
    assert told == note.facts()
    assert [entry.version for entry in note.history] == list(range(1, note.version + 1))


@pytest.mark.parametrize(
    "fields",
    [
        {"phone": "x"}, {"old_phone": ["1", "2"]}, {"document_number": "x"}, {"access_token": "x"}, {"password": "x"},
        {"event": "asked for 13800005678"}, {"event": "card 31010119900307123X read"}, {"cause": "old 310101900307123"},
        {"deep": {"list": [{"text": "call 13800005678 now"}]}}, {"headers": {"authorization": "Bearer x"}},
        {"exception": "ValueError: eyJhbGciOiJ9.eyJzdWIiOiIxIn0.c2ln"}, {"error": ValueError("of 13800005678")},
    ],
)  # fmt: skip
def test_nothing_that_identifies_a_person_reaches_the_log(fields: dict[str, object]) -> None:
    written = str(redact(None, "", dict(fields)))
    assert REDACTED in written
    for secret in ("13800005678", "31010119900307123X", "310101900307123", "eyJzdWIiOiIxIn0", "'x'", "'1'"):
        assert secret not in written


def test_fields_that_identify_no_person_stay_in_the_log() -> None:
    fields: dict[str, object] = {
        "event": "request", "ms": 1.5, "id": "7f9d0933-ead0-4e0c-8f5d-b4159e0b0000", "ok": True, "none": None,
        "count": 15,
        "at": "2026-11-24T08:09:06.123456Z", "code": 200,
    }  # fmt: skip
    assert redact(None, "", dict(fields)) == fields


class Form(BaseModel):
    name: str = Field(max_length=3)
    age: int = Field(ge=18, le=70)
    tags: list[str] = Field(default=[], max_length=1)


@pytest.mark.parametrize(
    ("data", "field", "code"),
    [
        ({"age": 20}, "data.name", "required"),
        ({"name": "too long", "age": 20}, "data.name", "too_long"),
        ({"name": "a", "age": 17}, "data.age", "out_of_range"),
        ({"name": "a", "age": 99}, "data.age", "out_of_range"),
        ({"name": "a", "age": 20, "tags": ["a", "b"]}, "data.tags", "too_long"),
        ({"name": "a", "age": "secret-value"}, "data.age", "invalid"),
        ({"name": "a", "age": 20, "tags": [1]}, "data.tags.0", "invalid"),
    ],
)
def test_each_invalid_field_gets_a_chinese_message_that_does_not_repeat_its_value(
    data: dict[str, object], field: str, code: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(data)
    problem = InvalidFields.of(caught.value, "data")
    (error,) = problem.marshal()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in error["message"])
    assert "secret-value" not in str(problem.marshal())


def test_times_are_utc_to_the_millisecond_and_days_are_those_of_shanghai() -> None:
    moment = datetime(2026, 11, 24, 5, 47, 34, 120_999, tzinfo=UTC)
    assert rfc3339(moment) == "2026-11-24T05:47:34.120Z"
    assert rfc3339(moment.astimezone(tz=None)) == "2026-11-24T05:47:34.120Z"
    assert shanghai_date(datetime(2026, 1, 1, 15, 59, tzinfo=UTC)).isoformat() == "2026-01-01"
    assert shanghai_date(datetime(2026, 1, 1, 16, 0, tzinfo=UTC)).isoformat() == "2026-01-02"
    assert SystemClock().now().microsecond % 1_000 == 0
    clock = ManualClock(AT)
    clock.advance(timedelta(hours=1))
    assert clock.now() == AT + timedelta(hours=1)


async def test_a_stall_is_reported_only_while_work_waits_and_nothing_is_done() -> None:
    part = StallDetector("the work", limit=0.05)
    await part.check()
    part.observe(1, waiting=False)
    await asyncio.sleep(0.1)
    await part.check()  # nothing waits
    part.observe(1, waiting=True)
    await part.check()  # work has just begun to wait
    await asyncio.sleep(0.1)
    part.observe(1, waiting=True)
    with pytest.raises(RuntimeError, match="the work stalled"):
        await part.check()
    part.observe(2, waiting=True)
    await part.check()  # work was done
    await asyncio.sleep(0.1)
    with pytest.raises(RuntimeError):
        await part.check()  # no observation arrives
    part.observe(2, waiting=False)
    await part.check()


def test_ids_are_random_or_follow_from_their_parts() -> None:
    assert new_id() != new_id()
    assert derived_id("a", "b") == derived_id("a", "b") != derived_id("ab")
    assert is_id(new_id())
    for text in ("", "me", new_id().upper(), f"{{{new_id()}}}", new_id().replace("-", "")):
        assert not is_id(text)
