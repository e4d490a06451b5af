"""Documents that have files in the bucket: each in a folder with an unguessable name; one is the original."""

from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from kit.core.documents import Document
from kit.core.errors import Unavailable
from kit.core.ids import secret_id
from kit.files.blobs import ChecksumMismatch
from kit.files.encrypted_bucket import EncryptedBucket
from kit.observability import log

T = TypeVar("T")
TRIES = 2
logger = log.get(__name__)


class FileDocument(Document):
    """A document whose object keys begin with `folder`; subclasses set the prefix of all their folders, `ROOT`."""

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"folder"}
    ROOT: ClassVar[str]

    folder: str

    @classmethod
    def new_folder(cls) -> str:
        """A folder for the files of a new document."""
        return f"{cls.ROOT}/{secret_id()}"

    @property
    def original(self) -> str:
        """The key of the uploaded file."""
        return f"{self.folder}/original"


class EncryptedFileDocument(FileDocument):
    """A document whose files are kept in an `EncryptedBucket`.

    `sealed`: whether all are encrypted. Otherwise they are stored in clear until the command `reseal` has encrypted
    them. Access to the bucket alone can't change what the document says.
    """

    UNTRACKED: ClassVar[frozenset[str]] = FileDocument.UNTRACKED | {"sealed"}

    sealed: bool = False

    async def keep(self, key: str, content: bytes, content_type: str, bucket: EncryptedBucket) -> None:
        """Store one of its files. Raises `Unavailable`."""
        await bucket.put(key, content, content_type, clear=not self.sealed)

    async def file(self, key: str, bucket: EncryptedBucket) -> bytes:
        """One of its files. Raises `NotFound`, `ChecksumMismatch`, `Unavailable`."""
        return await bucket.named(key, clear=not self.sealed)


class Remark(BaseModel):
    """A reason or a warning of a check: a stable code, and a sentence that tells the person what to do."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


def folder_of(stored: Mapping[str, object]) -> list[str]:
    """The prefix of the keys of all files of a stored document."""
    return [f"{stored['folder']}/"]


async def read_original(document: EncryptedFileDocument, bucket: EncryptedBucket) -> bytes | None:
    """The uploaded file; None, and an error in the log, on a checksum mismatch. Raises `Unavailable`."""
    try:
        return await bucket.get(document.original, clear=not document.sealed)
    except ChecksumMismatch:
        logger.error("checksum mismatch", document=document.id)
        return None


async def retry_once(work: Callable[[], Awaitable[T]]) -> T | None:
    """The result of sandboxed work, retried once; None if its input crashes the worker process each time."""
    for _ in range(TRIES):
        try:
            return await work()
        except Unavailable:
            continue
    return None
