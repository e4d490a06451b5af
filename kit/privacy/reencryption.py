"""Re-encrypts fields and files with the current key, so that an older key can be removed.

In place, without a new version, because the plaintext is the same. After a restart it skips what is done. Files that
earlier releases stored unencrypted are encrypted, too.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kit import mongo
from kit.core.audit import COMMAND
from kit.core.clock import SystemClock
from kit.core.documents import field_of
from kit.files import encrypted_bucket
from kit.files.blobs import ChecksumMismatch
from kit.files.encrypted_bucket import EncryptedBucket
from kit.mongo import Database, Fields, translate_errors
from kit.observability import log
from kit.privacy.action_audit import ActionAudit
from kit.security.encryption import Cipher
from kit.settings import BlobSettings, ServiceSettings, read

S = TypeVar("S", bound=ServiceSettings)
AT_ONCE = 8
"""Documents whose files are encrypted concurrently."""
FETCHED = 500  # documents of a batch: the server closes a cursor that is not used for ten minutes
PROGRESS_EVERY = 1000
logger = log.get(__name__)


@dataclass(frozen=True)
class EncryptedField:
    """A field with one encrypted text, several or none, in a collection's documents and their histories.

    `context`: what the encryption of a document's field is bound to.
    """

    collection: str
    field: str
    cipher: Cipher
    context: Callable[[Fields], str]

    def renewed(self, document: Fields) -> dict[str, object]:
        """The document with this field encrypted with the current key."""
        context = self.context(document)
        entries: list[Fields] = field_of(document, "history", list) if "history" in document else []
        history = [self._entry(entry, context) for entry in entries]
        kept = {"history": history} if "history" in document else {}
        return {**document, self.field: self._value(document.get(self.field), context), **kept}

    def _entry(self, entry: Fields, context: str) -> Fields:
        changes = [self._change(change, context) for change in field_of(entry, "changes", list)]
        return {**entry, "changes": changes}

    def _change(self, change: Fields, context: str) -> Fields:
        if change["field"] != self.field:
            return change
        return {**change, **{name: self._value(change[name], context) for name in ("old", "new")}}

    def _value(self, value: object, context: str) -> object:
        if isinstance(value, list):
            return [self._value(each, context) for each in value]
        return self.cipher.reencrypt(value, context) if isinstance(value, str) else value


@dataclass(frozen=True)
class EncryptedFiles:
    """The files of a collection's documents (`EncryptedFileDocument`), and the bucket that holds them."""

    collection: str
    blobs: BlobSettings
    cipher: Cipher


@dataclass
class Progress:
    """One pass over files: documents checked, files and documents written, files that can't be decrypted."""

    documents: int = 0
    written: int = 0
    damaged: int = 0


async def reencrypt(database: Database, places: Sequence[EncryptedField]) -> int:
    """Re-encrypt until no document needs it. Returns the number of documents written.

    A concurrent write wins, perhaps with the old key, so another pass follows.
    """
    total = 0
    while written := sum([await _pass(database, name, places) for name in dict.fromkeys(p.collection for p in places)]):
        total += written
    return total


async def _pass(database: Database, collection: str, places: Sequence[EncryptedField]) -> int:
    written, own = 0, [place for place in places if place.collection == collection]
    with translate_errors():
        async for document in database[collection].find({}):
            renewed = document
            for place in own:
                renewed = place.renewed(renewed)
            if renewed != document:
                await database[collection].replace_one(
                    {"_id": document["_id"], "version": document["version"]}, renewed
                )
                written += 1
    logger.info("fields re-encrypted", collection=collection, documents=written)
    return written


async def reencrypt_files(database: Database, collection: str, bucket: EncryptedBucket) -> Progress:
    """Re-encrypt files until none needs it. Returns the result of the last pass, with `written` summed over all passes.

    A file that can't be decrypted is logged and left unchanged. Files are replaced under their keys: a concurrent read
    gets the old or the new one. One that is removed meanwhile may come back, as an orphaned object that is swept.
    """
    total = 0
    while (progress := await _files_pass(database, collection, bucket)).written:
        total += progress.written
    progress.written = total
    logger.info("files checked", collection=collection, written=total, damaged=progress.damaged)
    return progress


async def _files_pass(database: Database, collection: str, bucket: EncryptedBucket) -> Progress:
    progress = Progress()
    with translate_errors():
        of = await database[collection].estimated_document_count()
        async for some in _batches(database, collection):
            await _all(_renew_files(database, collection, each, bucket, progress) for each in some)
            progress.documents += len(some)
            if progress.documents % PROGRESS_EVERY < AT_ONCE:
                _log_progress(collection, progress, of)
    _log_progress(collection, progress, of)
    return progress


async def _all(work: Iterable[Awaitable[None]]) -> None:
    """Wait for all, then raise the first error."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _log_progress(collection: str, progress: Progress, of: int) -> None:
    counts = {"documents": progress.documents, "written": progress.written, "damaged": progress.damaged}
    logger.info("files re-encrypted", collection=collection, of=of, **counts)


async def _batches(database: Database, collection: str) -> AsyncIterator[list[Fields]]:
    batch: list[Fields] = []
    async for document in database[collection].find({}).batch_size(FETCHED):
        batch.append(document)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _renew_files(
    database: Database, collection: str, document: Fields, bucket: EncryptedBucket, progress: Progress
) -> None:
    """Re-encrypt a document's files, then mark it as encrypted; after a concurrent write the next pass does so."""
    sealed = bool(document.get("sealed"))
    written = 0
    damaged = 0
    for key in await bucket.keys(f"{document['folder']}/"):
        try:
            written += await bucket.renew(key, clear=not sealed)
        except ChecksumMismatch:
            damaged += 1
    if not sealed and not damaged:
        guard = {"_id": document["_id"], "version": document["version"]}
        await database[collection].replace_one(guard, {**document, "sealed": True})
        written += 1
    progress.written += written
    progress.damaged += damaged


def command(
    name: str,
    settings: type[S],
    places: Callable[[S], Sequence[EncryptedField]] = lambda _: (),
    files: Callable[[S], EncryptedFiles] | None = None,
) -> Callable[[], None]:
    """`python -m services.<name> reseal`. Exits with 1 if a file can't be decrypted: the older key is still needed."""

    def run() -> None:
        """Re-encrypt with the current keys; older keys can be removed then."""
        log.configure(name, "reseal")
        asyncio.run(act())

    async def act() -> None:
        made = read(settings)
        async with mongo.connect(made.mongo, name) as database:
            await ActionAudit(database, SystemClock()).record("command", "run", COMMAND, name, command="reseal")
            await reencrypt(database, places(made))
            if files:
                await _files(database, files(made))

    return run


async def _files(database: Database, place: EncryptedFiles) -> None:
    async with encrypted_bucket.connect(place.blobs, place.cipher) as bucket:
        progress = await reencrypt_files(database, place.collection, bucket)
    if progress.damaged:
        sys.exit(1)
