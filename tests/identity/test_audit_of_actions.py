"""What the running system appends to its audit trail, and the command that verifies and exports it."""

import json
from pathlib import Path
from typing import Any

import httpx2

from contracts.audit import HEAD_TYPE
from deploy.local.secrets import signing_key
from kit import mongo
from kit.security.statements import StatementSigner
from kit.security.tokens import TokenIssuer
from services.identity.audit.store import AUDIT_TRAIL
from tests.identity.test_access_log import REASON
from tests.identity.test_staff_commands import command
from tests.support.erasure import have_erased
from tests.support.identity_clients import WINDOW, LoginPage, Window
from tests.support.names import own_name
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
