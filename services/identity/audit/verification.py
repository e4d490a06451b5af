"""Verifies the audit trail: each entry against its hash, the entry before it and the heads that were signed."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, ValidationError

from kit.security.statements import NotSigned, StatementReader
from services.identity.audit.domain import BEFORE_THE_FIRST, Entry, hash_of, sha256
from services.identity.audit.store import TrailStore

GRACE = timedelta(minutes=10)
"""How long a head may be on its way from the database to the topic."""


class WrongTrail(Exception):
    """The first place at which the trail is not as it was written."""


class SignedHead(BaseModel):
    """What a head states, once its signature is verified; `text`: the statement itself."""

    model_config = ConfigDict(frozen=True)

    number: int
    sequence: int
    hash: str
    signed_at: datetime
    previous: str
    replaces: int | None = None
    text: str


def read_heads(reader: StatementReader, statements: Iterable[str]) -> list[SignedHead]:
    """The heads in order of their numbers. Raises `WrongTrail` for one that was not signed with our key."""
    found = dict[int, SignedHead]()
    for place, text in enumerate(statements, 1):
        try:
            head = SignedHead.model_validate({**reader.read(text), "text": text})
        except (NotSigned, ValidationError) as error:
            raise WrongTrail(f"head {place} in the list is forged: its signature is wrong") from error
        if found.setdefault(head.number, head).text != text:
            raise WrongTrail(f"head {head.number} was signed twice, with different contents")
    return [found[number] for number in sorted(found)]


def check_order(heads: Sequence[SignedHead]) -> None:
    """Raises `WrongTrail` unless these are all heads from the first on, each made after the one before it."""
    before: SignedHead | None = None
    for number, head in enumerate(heads, 1):
        if head.number != number:
            raise WrongTrail(f"head {number} is missing")
        shorter = before is not None and head.replaces is None and head.sequence < before.sequence
        if shorter or head.previous != (sha256(before.text) if before else BEFORE_THE_FIRST):
            raise WrongTrail(f"head {number} does not follow head {number - 1}")
        before = head


def valid_heads(heads: Sequence[SignedHead]) -> list[SignedHead]:
    """The heads without those that a later one replaced."""
    replaced = {number for head in heads if head.replaces for number in range(head.replaces, head.number)}
    return [head for head in heads if head.number not in replaced]


def compare(published: Sequence[SignedHead], stored: Sequence[SignedHead], now: datetime, grace: timedelta) -> None:
    """Raises `WrongTrail` unless the exported heads are those of the database; the newest may be on their way."""
    texts = {head.number: head.text for head in published}
    for head in stored:
        if head.number not in texts and now - head.signed_at > grace:
            raise WrongTrail(f"head {head.number} is missing in the export")
        if texts.pop(head.number, head.text) != head.text:
            raise WrongTrail(f"head {head.number} in the database is not the exported one")
    for number in texts:
        raise WrongTrail(f"head {number} is missing in the database")


def check_age(heads: Sequence[SignedHead], now: datetime, longest: timedelta) -> None:
    """Raises `WrongTrail` if no head was signed for `longest`."""
    if not heads:
        raise WrongTrail("head 1 is missing: none was ever signed")
    if now - heads[-1].signed_at > longest:
        last = heads[-1]
        raise WrongTrail(f"head {last.number + 1} is missing: the last one was signed at {last.signed_at.isoformat()}")


class Chain:
    """Follows the entries from the first, or from the entry `start`, whose predecessor is not checked then."""

    def __init__(self, heads: Iterable[SignedHead], start: int = 1) -> None:
        self.sequence = start - 1
        self.hash = BEFORE_THE_FIRST
        self._first = start
        self._heads: Mapping[int, list[SignedHead]] = _by_sequence(heads)
        self._check_heads()

    def take(self, entry: Entry) -> None:
        """The next entry. Raises `WrongTrail`."""
        number, expected = entry["_id"], self.sequence + 1
        if isinstance(number, int) and number > expected:
            raise WrongTrail(f"entry {expected} is missing: the next one is {number}")
        if type(number) is bool or number != expected or not isinstance(number, int):
            raise WrongTrail(f"entry {number!r} was inserted")
        if not _is_whole(entry):
            raise WrongTrail(f"entry {expected} was changed: its hash is not that of its contents")
        if entry["previous"] != self.hash and (expected > self._first or expected == 1):
            raise WrongTrail(f"entry {expected} does not follow the entry before it")
        self.sequence, self.hash = expected, str(entry["hash"])
        self._check_heads()

    def _check_heads(self) -> None:
        for head in self._heads.get(self.sequence, ()):
            if head.hash != self.hash:
                raise WrongTrail(f"entry {self.sequence} is not the one that head {head.number} signed")

    def end(self) -> None:
        """All entries were taken. Raises `WrongTrail` when a head covers more."""
        for sequence, heads in self._heads.items():
            if sequence > self.sequence:
                missing = f"entry {self.sequence + 1} is missing: head {heads[0].number} covers {sequence} entries"
                raise WrongTrail(f"{missing}, the trail has {self.sequence}")


def _by_sequence(heads: Iterable[SignedHead]) -> dict[int, list[SignedHead]]:
    found = dict[int, list[SignedHead]]()
    for head in heads:
        found.setdefault(head.sequence, []).append(head)
    return dict(sorted(found.items()))


def _is_whole(entry: Entry) -> bool:
    try:
        return hash_of(entry) == entry["hash"]
    except (KeyError, TypeError):  # a field was removed, or has a value that JSON does not have
        return False


async def follow(chain: Chain, batches: AsyncIterator[list[dict[str, object]]]) -> None:
    """Take all entries. Raises `WrongTrail` at the first that is wrong."""
    async for batch in batches:
        for entry in batch:
            chain.take(entry)
    chain.end()


async def verify(
    trail: TrailStore, reader: StatementReader, published: Sequence[SignedHead], now: datetime, longest: timedelta
) -> str:
    """Verify the whole trail and its heads against the exported ones. Returns a summary. Raises `WrongTrail`.

    `longest`: within this time of `now` a head must have been signed.
    """
    check_order(published)
    check_age(published, now, longest)
    stored = await stored_heads(trail, reader)
    compare(published, stored, now, GRACE)
    chain = Chain(valid_heads(stored))
    await follow(chain, trail.everything())
    unsigned = chain.sequence - stored[-1].sequence
    verified = f"verified {chain.sequence} entries and {len(stored)} heads; {unsigned} entries follow the last head"
    return "\n".join([verified, *map(_replacement, filter(lambda head: head.replaces, stored))])


def _replacement(head: SignedHead) -> str:
    gone = f"heads {head.replaces} to {head.number - 1}"
    return f"note: {gone} were replaced by head {head.number}, signed after a restore at {head.signed_at.isoformat()}"


async def stored_heads(trail: TrailStore, reader: StatementReader) -> list[SignedHead]:
    """The heads in the database. Raises `WrongTrail`."""
    heads = read_heads(reader, [each.statement for each in await trail.all_heads()])
    check_order(heads)
    return heads
