"""What the running system appends to its audit trail, and the command that verifies and exports it."""

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import httpx2

from contracts.audit import HEAD_TYPE
from deploy.local.secrets import signing_key
from kit import mongo
from kit.core.clock import ManualClock
from kit.kafka import dead_letters
from kit.privacy.action_audit import KEYS, KeyAudit, key_names
from kit.security.statements import StatementSigner
from kit.security.tokens import TokenIssuer
from kit.settings import KeyRing
from services.identity.audit.store import AUDIT_TRAIL
from tests.identity.test_access_log import REASON
from tests.identity.test_staff_commands import command
from tests.support.dead_letters import DEAD_LETTER_GROUP, store_dead_letter
from tests.support.erasure import have_erased
from tests.support.identity_clients import WINDOW, LoginPage, Window
from tests.support.imports import IDENTITY, Sender, as_csv, person_row
from tests.support.names import own_id, own_name
from tests.support.stack import RunningStack
from tests.support.waiting import eventually


async def entries(stack: RunningStack, count: int, **query: str) -> list[dict[str, Any]]:
    """The entries that match, once there are `count`."""
    async with mongo.connect(stack.mongo, "identity") as database:

        async def found() -> list[dict[str, Any]]:
            entries = await database[AUDIT_TRAIL].find(query, sort=[("_id", 1)]).to_list(None)
            return entries if len(entries) >= count else []

        return await eventually(found, 20, f"{count} entries in the audit trail")


async def test_what_happens_to_a_person_is_in_the_trail_and_stays_when_they_are_erased(
    stack: RunningStack, window: Window, login_page: LoginPage, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    citizen = await window.enrolled()
    assert (await window.clerk.call("GET", f"{WINDOW}/{citizen.id}", headers=REASON)).status_code == 200
    assert citizen.id
    await have_erased(gateway, issuer, citizen.id)
    await entries(stack, 1, person=citizen.id, action="carried_out")
    found = await entries(stack, 6, person=citizen.id)
    kinds = [(entry["kind"], entry["action"]) for entry in found]
    expected = [("person", "registered"), ("certificate", "issued"), ("access", "looked")]
    expected += [("erasure", "requested"), ("erasure", "approved"), ("erasure", "carried_out")]
    assert set(kinds) >= set(expected)
    assert all(entry["by"] != "unknown" for entry in found)
    assert found[kinds.index(("certificate", "issued"))]["by"] == found[kinds.index(("person", "registered"))]["by"]
    text = json.dumps(found, default=str, ensure_ascii=False)
    assert not [value for value in (citizen.card["name"], citizen.phone, "核对") if str(value) in text]


async def test_accounts_and_clients_are_in_the_trail(stack: RunningStack) -> None:
    name, given = own_name("client"), {"client_secret": own_name("secret") * 3}
    for words in (("--scopes", "changes:read"), ("--disable",)):
        code, output = await command(stack, name, *words, given=given, of="client")
        assert code == 0, output
    found = await entries(stack, 2, **{"kind": "client", "details.client_id": name})
    assert [(entry["action"], entry["by"], entry["details"]["enabled"]) for entry in found] == [
        ("created", "command", "true"), ("disabled", "command", "false")
    ]  # fmt: skip
    assert found[0]["details"]["scopes"] == "changes:read"


async def test_the_command_verifies_and_exports_the_trail_of_the_stack(stack: RunningStack, tmp_path: Path) -> None:
    await entries(stack, 1)
    await command(stack, "restored", of="audit")  # another test may have restored a backup
    assert "verified" in await eventually(lambda: _verified(stack), 20, "the heads are exported")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(StatementSigner([signing_key()], HEAD_TYPE).public_keys()))
    code, output = await command(stack, "verify", "--keys", str(keys), of="audit")
    assert (code, "WRONG: head 1 in the list is forged" in output) == (1, True), output
    code, output = await command(stack, "export", of="audit")
    exported = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [entry["sequence"] for entry in exported] == list(range(1, len(exported) + 1))
    code, output = await command(stack, "heads", of="audit")
    assert (code, output.count(".")) == (0, 2 * len(output.split()))


async def _verified(stack: RunningStack) -> str:
    code, output = await command(stack, "verify", of="audit")
    print(output)
    return output if code == 0 else ""


async def test_dead_letters_that_are_replayed_or_dropped_are_in_the_trail(stack: RunningStack) -> None:
    by, person = f"staff:{own_id()}", own_id()
    letters = [await store_dead_letter(stack, "Reject: a test", person=person) for _ in range(2)]
    settings = stack.kafka_settings()
    await dead_letters.drop(settings, DEAD_LETTER_GROUP, letters[:1], by)
    await dead_letters.replay(settings, DEAD_LETTER_GROUP, letters[1:], by)
    found = await entries(stack, 2, kind="dead_letter", by=by)
    assert {(entry["action"], entry["details"]["dead_letter"]) for entry in found} == {
        ("dropped", letters[0]), ("replayed", letters[1])
    }  # fmt: skip
    assert {(entry["person"], entry["details"]["cause"]) for entry in found} == {(person, "Reject: a test")}


async def test_imports_and_lookups_that_find_nobody_are_in_the_trail(
    stack: RunningStack, gateway: httpx2.AsyncClient, issuer: TokenIssuer
) -> None:
    admin = Sender(gateway, issuer, IDENTITY, own_id(), frozenset(), frozenset({"admin"}))
    row = person_row()
    asked = {"document_type": "resident_id", "document_number": row["证件号码"]}
    assert (await gateway.post(f"{WINDOW}/lookup", json=asked, headers=admin.headers)).status_code == 404
    (lookup,) = await entries(stack, 1, kind="lookup", by=f"staff:{admin.name}")
    assert (lookup["action"], lookup["details"]) == ("not_found", {"asked": "1", "found": "0"})
    import_id = await admin.started("practitioners", as_csv([row]))
    await admin.ended(import_id)
    found = await entries(stack, 2, kind="import", document=import_id)
    assert [(entry["action"], entry["details"].get("rows_created")) for entry in found] == [
        ("started", "0"), ("finished", "1")
    ]  # fmt: skip
    assert found[0]["by"] == f"staff:{admin.name}"
    (registered,) = await entries(stack, 1, kind="person", by=f"import:{import_id}")
    assert registered["action"] == "registered"


async def test_commands_and_keys_in_use_are_in_the_trail(stack: RunningStack) -> None:
    name = own_name("client")
    code, output = await command(stack, name, "--disable", of="client")
    assert (code, "no such account" in output) == (2, True), output
    found = await entries(stack, 1, kind="command", person=name)
    assert [(entry["by"], entry["details"]) for entry in found] == [("command", {"command": "client --disable"})]
    seals = await entries(stack, 5, **{"kind": "keys", "details.ring": "seal"})
    assert {entry["event"].split()[0] for entry in seals} >= {"/identity", "/records", "/attachments", "/signature"}


async def test_other_keys_are_recorded_once_when_a_process_starts(stack: RunningStack) -> None:
    database_name, clock = own_name("keys"), ManualClock()
    first, second = (KeyRing(keys={name: _key() for name in names}, current=names[-1]) for names in ("a", "ab"))
    async with mongo.connect(stack.mongo, database_name) as database:
        for ring in (first, first, second, second):
            starts = [KeyAudit(database, clock, {"seal": key_names(ring)}) for _ in range(3)]
            await asyncio.gather(*(start.prepare() for start in starts))
            await starts[0].prepare()
        stored = await database[KEYS].find({}).to_list(None)
        await database.client.drop_database(database_name)
    assert [(each["version"], each["action"], each["keys"]) for each in stored] == [(2, "changed", key_names(second))]
    assert [key.split(":")[0] for key in key_names(second)] == ["b", "a"]


def _key() -> bytes:
    return base64.b64encode(os.urandom(32))
