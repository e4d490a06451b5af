"""Row: files stored in the bucket and read again, encrypted and in clear."""

import time
from statistics import median

from bench.stack import Stack
from bench.table import Row
from deploy.local.secrets import random_key
from kit.core.ids import secret_id
from kit.files import blobs, encrypted_bucket
from kit.files.blobs import Bucket
from kit.security.encryption import Cipher
from kit.settings import BlobSettings, KeyRing
from tests.support.scans import scan

ROUNDS = 7
EACH = 40
DEARER = 1.3
KEYS = KeyRing.model_validate({"keys": {"k1": random_key()}, "current": "k1"})


async def rows(stack: Stack) -> list[Row]:
    """Measure both by turns, in one process; S3's own work is not counted."""
    settings = BlobSettings.model_validate({**stack.file["s3"], "bucket": "attachments", "ca": stack.file["ca"]})
    jpeg = scan()
    key = f"bench-{secret_id()}"
    sealed = list[float]()
    clear = list[float]()
    async with (
        blobs.connect(settings) as bucket,
        encrypted_bucket.connect(settings, Cipher(KEYS)) as ours,
    ):
        for _ in range(ROUNDS):
            clear.append(await _cpu_ms(bucket, key, jpeg))
            sealed.append(await _cpu_ms(ours, key, jpeg))
        await bucket.delete(key)
    return [_row(median(sealed), median(clear), len(jpeg))]


async def _cpu_ms(bucket: Bucket, key: str, content: bytes) -> float:
    used = time.process_time()
    for _ in range(EACH):
        await bucket.put(key, content, "image/jpeg")
        if await bucket.get(key) != content:
            raise RuntimeError("another file was read than was put")
    return (time.process_time() - used) / EACH * 1000


def _row(sealed: float, clear: float, size: int) -> Row:
    texts = f"{sealed:.2f} ms", f"{clear:.2f} ms", f"≤ {DEARER} ×", f"{sealed / clear:.2f} ×"
    name = f"a scan of {size / 1000:.0f} kB stored in the bucket and read, encrypted, CPU (in clear beside it)"
    return Row(name, *texts, sealed / clear <= DEARER, {"ours": sealed, "bare": clear})
