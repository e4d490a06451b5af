"""Heads: every hour, and after many entries, the trail is verified since the last head and signed up to its end."""

from datetime import timedelta

from contracts.audit import HEAD_TYPE
from kit.core.clock import Clock
from kit.mongo import Duplicate
from kit.observability import log
from kit.runtime.periodic import every
from kit.security.statements import StatementReader, StatementSigner
from services.identity import metrics
from services.identity.audit.domain import BEFORE_THE_FIRST, Head, place_of, stated
from services.identity.audit.store import TrailStore
from services.identity.audit.verification import Chain, WrongTrail, follow, read_heads, stored_heads, valid_heads
from services.identity.settings import AuditSettings

CHECK_SECONDS = 30.0
logger = log.get(__name__)


class HeadKeeper:
    """Signs heads, and verifies the whole trail with every `verify_heads`-th. Of several processes one signs a head."""

    def __init__(self, store: TrailStore, settings: AuditSettings, clock: Clock) -> None:
        self._signer = StatementSigner(settings.keys, HEAD_TYPE)
        self._reader = StatementReader(self._signer.public_keys(), HEAD_TYPE)
        self._store, self._settings, self._clock = store, settings, clock
        metrics.audit_verification_failed.set(0)

    async def run(self) -> None:
        """Sign what is due, until cancelled."""
        await every(CHECK_SECONDS, self.sign_due, "heads of the audit trail")

    async def sign_due(self) -> None:
        """Sign a head if the last one is too old, or too many entries follow it; but never a trail that is wrong."""
        head, last = await self._store.last_head(), await self._store.entries.last()
        if head:
            metrics.audit_head_timestamp.set(head.signed_at.timestamp())
        if not self._is_due(head, place_of(last)[0]):
            return
        try:
            signed = await self._sign(head)
            if signed and signed.number % self._settings.verify_heads == 0:
                await self.verify()
            metrics.audit_verification_failed.set(0)
        except WrongTrail as error:
            metrics.audit_verification_failed.set(1)
            logger.critical("audit trail is wrong", place=str(error))

    def _is_due(self, head: Head | None, sequence: int) -> bool:
        if head is None:
            return True
        aged = self._clock.now() - head.signed_at >= timedelta(seconds=self._settings.head_seconds)
        return aged or sequence - head.sequence >= self._settings.head_entries

    async def _sign(self, head: Head | None) -> Head | None:
        """The signed head; None when another process signed first. Raises `WrongTrail`."""
        known = read_heads(self._reader, [head.statement] if head else [])
        chain = Chain(known, max(known[0].sequence, 1) if known else 1)
        await follow(chain, self._store.since(chain.sequence + 1))
        return await self._store_signed(head, (chain.sequence, chain.hash))

    async def _store_signed(
        self, before: Head | None, place: tuple[int, str], replaces: int | None = None
    ) -> Head | None:
        number, at = (before.number if before else 0) + 1, self._clock.now()
        statement = stated(number, place, before.statement if before else None, at, replaces)
        signed = Head.signed(number, place, self._signer.sign(statement), at=at)
        try:
            await self._store.heads.insert(signed)
        except Duplicate:
            return None
        metrics.audit_head_timestamp.set(at.timestamp())
        return signed

    async def replace_heads(self) -> Head | None:
        """After a restore: sign a head that replaces all from the first one on that is not that of the trail.

        None if every head is. Raises `WrongTrail` if the entries themselves are wrong.
        """
        heads = await stored_heads(self._store, self._reader)
        chain, hashes = Chain([]), {0: BEFORE_THE_FIRST}
        async for batch in self._store.everything():
            for entry in batch:
                chain.take(entry)
                hashes[chain.sequence] = chain.hash
        wrong = [head.number for head in valid_heads(heads) if hashes.get(head.sequence) != head.hash]
        if not wrong:
            return None
        return await self._store_signed(await self._store.last_head(), (chain.sequence, chain.hash), min(wrong))

    async def verify(self) -> None:
        """Verify all entries and heads of the database. Raises `WrongTrail`."""
        heads = await stored_heads(self._store, self._reader)
        await follow(Chain(valid_heads(heads)), self._store.everything())
