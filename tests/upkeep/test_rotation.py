"""Replacing a key: everything is re-encrypted, the old key is removed, and everything can still be decrypted."""

import asyncio
import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
import pytest_asyncio

from contracts.identity import CONTACT_CONTEXT
from deploy.local.secrets import random_key
from deploy.local.stack import ROOT
from kit import mongo
from kit.core.clock import SystemClock
from kit.core.errors import Unavailable
from kit.core.ids import secret_id
from kit.files import blobs
from kit.files.sweeper import SweeperPolicy
from kit.mongo import Collection, Database, Fields
from kit.privacy.reencryption import EncryptedField, reencrypt
from kit.security.encryption import Cipher, DecryptionError
from kit.security.tokens import Caller, TokenIssuer
from kit.settings import KeyRing
from services.identity import rotation
from services.identity.practitioners.portrait_folders import portraits
from tests.support import own_services
from tests.support.identity_clients import WINDOW, Citizen, bearer
from tests.support.names import own_id, own_name
from tests.support.portraits import make_loose
from tests.support.stack import RunningStack
from tests.support.things import Thing, Things

CLERK = Caller("c0ffee00-0000-4000-8000-000000000002", "staff", frozenset({"clerk"}), reason="test")
WHY = {"X-Access-Reason": quote("核对")}
DOCUMENTS = 300


def ring(current: str, **keys: str) -> KeyRing:
    return KeyRing.model_validate({"keys": keys, "current": current})


@dataclass
class OwnIdentity:
    """identity on a database of its own, with changing keys."""

    stack: RunningStack
    issuer: TokenIssuer
    monkeypatch: pytest.MonkeyPatch
    database: str
    rings: dict[str, dict[str, str]] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        made = {"MONGO__DATABASE": self.database}
        for name, keys in self.rings.items():
            made |= {f"{name}__KEYS": json.dumps(keys), f"{name}__CURRENT": max(keys)}
        return made

    async def call(self, method: str, path: str, **request: object) -> bytes:
        headers = bearer(self.issuer.issue(CLERK)) | WHY
        async with own_services.identity(self.stack, self.monkeypatch, SystemClock(), settings=self.settings()) as http:
            response = await http.request(method, path, headers=headers, **request)  # type: ignore[arg-type]
            assert response.is_success, response.text
            return response.content

    async def reseal(self) -> None:
        """Runs the command as an operator does."""
        environment = os.environ | self.stack.privileged("identity-worker") | self.settings()
        command = [sys.executable, "-m", "services.identity", "reseal"]
        done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=environment, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest_asyncio.fixture
async def own_identity(
    stack: RunningStack, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OwnIdentity]:
    name = own_name("identity")
    yield OwnIdentity(stack, issuer, monkeypatch, name)
    async with mongo.connect(stack.mongo, name) as database, blobs.connect(stack.blobs("identity")) as bucket:
        async for person in database["practitioners"].find({}):
            for key in portraits(person):
                await bucket.delete(key)
        await database.client.drop_database(name)


async def test_a_key_is_removed_after_everything_was_re_encrypted(own_identity: OwnIdentity) -> None:
    own_identity.rings = {name: {"k1": random_key()} for name in ("SEAL", "BUS")}
    citizen = Citizen()
    registered = await own_identity.call("POST", WINDOW, json=citizen.card)
    person = f"{WINDOW}/{json.loads(registered)['practitioner_id']}"
    await own_identity.call("POST", WINDOW, json=citizen.card | {"address": "上海市静安区新址路2号"})  # a history
    await own_identity.call("POST", f"{person}/certificate", json={"phone": citizen.phone})
    before = await own_identity.call("GET", person), await own_identity.call("GET", f"{person}/portrait")

    for keys in own_identity.rings.values():
        keys["k2"] = random_key()
    assert await own_identity.call("GET", person) == before[0], "both keys open while both are there"
    await own_identity.reseal()
    for keys in own_identity.rings.values():
        del keys["k1"]
    assert (await own_identity.call("GET", person), await own_identity.call("GET", f"{person}/portrait")) == before

    async with mongo.connect(own_identity.stack.mongo, own_identity.database) as database:
        for name in ("practitioners", "certificates"):
            (document,) = [each async for each in database[name].find({})]
            assert "'k1." not in repr(document), "the history too"
        opened = Cipher(ring("k2", k2=own_identity.rings["BUS"]["k2"]))
        contact = opened.decrypt(document["contact"], f"{CONTACT_CONTEXT}:{document['practitioner_id']}")
        assert contact == citizen.phone
    await own_identity.reseal()  # there is nothing to do


async def test_portraits_of_earlier_versions_are_moved_into_folders_and_orphans_removed(
    own_identity: OwnIdentity,
) -> None:
    stack, citizen = own_identity.stack, Citizen()
    person = json.loads(await own_identity.call("POST", WINDOW, json=citizen.card))["practitioner_id"]
    path = f"{WINDOW}/{person}/portrait"
    shown = await own_identity.call("GET", path)
    async with (
        mongo.connect(stack.mongo, own_identity.database) as database,
        blobs.connect(stack.blobs("identity")) as bucket,
    ):
        loose = await make_loose(database, bucket, person)
        await own_identity.reseal()
        assert await own_identity.call("GET", path) == shown
        moved = await database["practitioners"].find_one({"_id": person}) or {}
        assert portraits(moved) == await bucket.keys(f"{moved['folder']}/")
        assert await bucket.get(loose) is None
        named, nobodys = await make_loose(database, bucket, person), f"{rotation.OLD_PREFIX}{secret_id()}"
        await bucket.put(nobodys, b"left behind", "application/octet-stream")
        now = SystemClock().now()
        await rotation.remove_orphans(database, bucket, now - SweeperPolicy().grace)
        assert await bucket.get(nobodys), "who registers with an earlier version may be about to name it"
        await rotation.remove_orphans(database, bucket, now + SweeperPolicy().grace)
        assert (await bucket.get(nobodys), await bucket.get(named) is None) == (None, False)


class SealedThing(Thing):
    secret_sealed: str


@dataclass
class Sealing:
    """Things with an encrypted text, and both keys."""

    database: Database
    old: str
    new: str

    def place(self, current: str = "k2") -> EncryptedField:
        cipher = Cipher(ring(current, k1=self.old, k2=self.new))
        return EncryptedField("things", "secret_sealed", cipher, context)

    async def opened_by_new(self) -> int:
        """The number of documents, histories included, that do not need the old key."""
        only = Cipher(ring("k2", k2=self.new))
        count = 0
        async for document in self.database["things"].find({}):
            try:
                EncryptedField("things", "secret_sealed", only, context).renewed(document)
                count += 1
            except DecryptionError:
                continue
        return count


def context(document: Fields) -> str:
    return f"secret:{document['_id']}"


@pytest_asyncio.fixture
async def sealing(things: Things) -> Sealing:
    made = Sealing(things.database, random_key(), random_key())
    old, clock = Cipher(ring("k1", k1=made.old)), SystemClock()
    collection = Collection(things.database, "things", SealedThing)
    for number in range(DOCUMENTS):
        identity = own_id()
        thing = SealedThing.first(
            at=clock.now(), by="test", action="created", id=identity, practitioner_id=own_id(), text="",
            secret_sealed=old.encrypt(str(number), f"secret:{identity}"),
        )  # fmt: skip
        await collection.insert(thing)
    return made


async def test_an_interrupted_re_encryption_continues(sealing: Sealing) -> None:
    class Stops(Cipher):
        left = DOCUMENTS // 3 * 2  # each text is in the document and in its history

        def reencrypt(self, encrypted: str, context: str) -> str:
            self.left -= 1
            if self.left < 0:
                raise Unavailable("killed")
            return super().reencrypt(encrypted, context)

    stops = EncryptedField("things", "secret_sealed", Stops(ring("k2", k1=sealing.old, k2=sealing.new)), context)
    with pytest.raises(Unavailable):
        await reencrypt(sealing.database, [stops])
    done = await sealing.opened_by_new()
    assert 0 < done < DOCUMENTS
    assert await reencrypt(sealing.database, [sealing.place()]) == DOCUMENTS - done
    assert await sealing.opened_by_new() == DOCUMENTS
    assert await reencrypt(sealing.database, [sealing.place()]) == 0


async def test_a_concurrent_write_takes_precedence(sealing: Sealing) -> None:
    writing = asyncio.create_task(_rewrite(sealing))
    await reencrypt(sealing.database, [sealing.place()])
    versions = await writing
    found = {each["_id"]: each["version"] async for each in sealing.database["things"].find({})}
    assert {identity: found[identity] for identity in versions} == versions, "nobody's write is lost"
    await reencrypt(sealing.database, [sealing.place()])
    assert await sealing.opened_by_new() == DOCUMENTS


async def _rewrite(sealing: Sealing) -> dict[str, int]:
    """Changes documents as an API does that still encrypts with the old key."""
    collection = Collection(sealing.database, "things", SealedThing)
    versions = {}
    for found in await collection.find({}, sort=[("_id", 1)], limit=100):
        thing = await collection.get(found.id)
        assert thing
        await asyncio.sleep(0)
        await collection.replace(thing.rewritten("new"))
        versions[thing.id] = 2
    return versions


def test_a_key_made_as_documented_is_valid() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    seal, token = (line for line in page.splitlines() if line.startswith(("openssl rand", ".venv/bin/python -c")))
    key = subprocess.run(seal, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert len(b64decode(key)) == 32
    assert ring("k9", k9=key).keys
    made = subprocess.run(token, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    jwk = json.loads(made)
    assert (jwk["kty"], jwk["crv"], bool(jwk["kid"] and jwk["d"])) == ("OKP", "Ed25519", True)
