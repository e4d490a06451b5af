"""A destination of backups, with keys of a test's own; the commands; and dumps that were not read from a database."""

import asyncio
import base64
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import bson

from deploy.backup.dump import dump
from deploy.backup.encryption import Decryption, Encryption, new_identity
from deploy.backup.files import OBJECTS, Dump, Manifest, StoredObject, new_name
from deploy.backup.settings import DumpSettings, RestoreSettings
from deploy.backup.storage import InFolder, Storage
from deploy.local.secrets import random_key
from deploy.local.stack import ROOT
from tests.support.stack import RunningStack


@dataclass(frozen=True)
class Destination:
    """A folder with backups, and the keys."""

    folder: Path
    identity: Path
    recipient: str
    key: bytes

    @classmethod
    def below(cls, folder: Path) -> "Destination":
        secret, recipient = new_identity()
        identity = folder / "identity.txt"
        identity.write_text(f"# recipient: {recipient}\n{secret}\n")
        return cls(folder / "backup", identity, recipient, base64.b64decode(random_key()))

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the commands."""
        return {
            "BACKUP__FOLDER": str(self.folder),
            "BACKUP__KEY": base64.b64encode(self.key).decode(),
            "BACKUP__RECIPIENTS": json.dumps([self.recipient]),
        }

    @property
    def storage(self) -> InFolder:
        return InFolder(self.folder)

    @property
    def encryption(self) -> Encryption:
        return Encryption([self.recipient])

    @property
    def decryption(self) -> Decryption:
        return Decryption(self.identity)

    def dump(self, moment: datetime | None = None, storage: Storage | None = None) -> Dump:
        """A dump that is not written yet."""
        return Dump(storage or self.storage, new_name(moment or datetime.now(UTC)), self.key)

    async def made(self, moment: datetime | None = None, storage: Storage | None = None, photo: str = "photo") -> Dump:
        """A complete dump of three documents and one object."""
        dump = self.dump(moment, storage)
        documents = b"".join(bson.encode({"_id": str(number), "version": number}) for number in (1, 2, 3))
        piece = await dump.put("documents/records.records.000000.bson.gz.age", await self.encryption.pack(documents), 3)
        stored = await self.stored(dump.storage, photo)
        names = await dump.put(f"{OBJECTS}/attachments.txt", f"{stored.name}\n".encode(), 1)
        began = moment or datetime.now(UTC)
        manifest = Manifest(
            began_at=began,
            as_of=began,
            seconds=1,
            documents={"records": {"records": [piece]}},
            changes={"records": []},
            objects={"attachments": names},
        )
        await dump.complete(manifest)
        return dump

    async def stored(self, storage: Storage, key: str) -> StoredObject:
        encrypted = await self.encryption.encrypt(b"\xff\xd8\xff")
        stored = StoredObject.of("attachments", f"scans/{key}", 1, encrypted)
        await storage.put(stored.name, encrypted)
        return stored

    def files(self, pattern: str) -> list[Path]:
        return sorted(path for path in self.folder.rglob(pattern) if path.is_file())


@dataclass(frozen=True)
class Backups:
    """The commands with the stack's servers and a destination of the test's own."""

    stack: RunningStack
    destination: Destination

    def environment(self, user: str) -> dict[str, str]:
        return os.environ | self.stack.environment(user) | self.destination.environment

    async def command(self, *arguments: str, **settings: str) -> str:
        """Runs a command as an operator does. Returns its output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.backup", *arguments, cwd=ROOT,
            env=self.environment("restore" if arguments[0] in ("restore", "files") else "backup") | settings,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def restored(self, name: str = "") -> str:
        """Restores by command: a dump, or the newest."""
        return await self.command("restore", *([name] if name else []), "--identity", str(self.destination.identity))

    def settings(self) -> DumpSettings:
        """The settings of the commands, for use in this process: starting a command takes a second and a half."""
        with mock.patch.dict(os.environ, self.environment("backup")):
            return DumpSettings()

    def restore_settings(self) -> RestoreSettings:
        with mock.patch.dict(os.environ, self.environment("restore")):
            return RestoreSettings()

    async def dumped(self) -> Dump:
        return (await dump(self.settings(), self.destination.storage)).dump
