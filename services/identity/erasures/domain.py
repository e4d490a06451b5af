"""The document of an erasure. Methods make each of its versions."""

from datetime import datetime
from typing import ClassVar, Literal, Self

from kit.core.documents import RESTORED, Document, Entry
from kit.core.ids import derived_id

ErasureState = Literal["requested", "approved", "stopped", "erased", "restored"]


def erasure_id(practitioner_id: str) -> str:
    """One for a person; not their own id, whose key on the topic ends with a tombstone."""
    return derived_id("erasure", practitioner_id)


class ErasureRequest(Document):
    """A person who is to be erased everywhere, and on what ground: no more is left of them.

    Those of before say no state: they were carried out at once. `restored`: only the topic knew it, with its `proof`,
    which is the key's word that identity itself had told it. `slot`: which of a day's it was.
    """

    UNTRACKED: ClassVar[frozenset[str]] = Document.UNTRACKED | {"proof", "slot"}

    practitioner_id: str
    reason: str
    state: ErasureState = "erased"
    stop_reason: str | None = None
    due_at: datetime | None = None
    proof: str | None = None
    slot: str | None = None

    @classmethod
    def requested(cls, practitioner_id: str, reason: str, *, at: datetime, by: str) -> Self:
        """The first request for a person."""
        identity = {"id": erasure_id(practitioner_id), "practitioner_id": practitioner_id}
        return cls.first(at=at, by=by, action="requested", **identity, **_open(reason))

    @classmethod
    def restored(cls, practitioner_id: str, proof: str | None, *, at: datetime, by: str) -> Self:
        """A restored backup knows nothing of it, the topic does."""
        identity = {"id": erasure_id(practitioner_id), "practitioner_id": practitioner_id}
        claimed = {"reason": "restored from the topic", "state": "restored", "proof": proof}
        return cls.first(at=at, by=by, action=RESTORED, **identity, **claimed)

    def requested_again(self, reason: str, *, at: datetime, by: str) -> Self:
        """After it was stopped."""
        return self.next_version(_open(reason), at=at, by=by, action="requested")

    def repeated(self, reason: str, *, at: datetime, by: str) -> Self:
        """After it was carried out: everything is looked through again."""
        return self.next_version({"reason": reason}, at=at, by=by, action="repeated")

    def approved(self, due_at: datetime, *, at: datetime, by: str) -> Self:
        """It is carried out at `due_at`, unless somebody stops it."""
        return self.next_version({"state": "approved", "due_at": due_at}, at=at, by=by, action="approved")

    def stopped(self, reason: str, *, at: datetime, by: str) -> Self:
        """It is not carried out."""
        return self.next_version({"state": "stopped", "stop_reason": reason}, at=at, by=by, action="stopped")

    def proved(self, proof: str, *, at: datetime, by: str) -> Self:
        """One that was carried out by a version that knew no proofs gets its own."""
        return self.next_version({"proof": proof}, at=at, by=by, action="proved")

    def carried_out(self, proof: str, slot: str, *, at: datetime, by: str) -> Self:
        """The person is erased, in a slot of the day."""
        done = {"state": "erased", "proof": proof, "slot": slot}
        return self.next_version(done, at=at, by=by, action="carried_out")

    def confirmed(self, *, at: datetime, by: str) -> Self:
        """The proof of a restored one is genuine: the person was erased."""
        return self.next_version({"state": "erased"}, at=at, by=by, action="carried_out")

    def refuted(self, sentence: str, *, at: datetime, by: str) -> Self:
        """The proof of a restored one is not genuine."""
        refused = {"state": "stopped", "stop_reason": sentence, "proof": None}
        return self.next_version(refused, at=at, by=by, action="stopped")

    def last(self, *actions: str) -> Entry | None:
        """The newest version that one of these actions made."""
        return next((entry for entry in reversed(self.history) if entry.action in actions), None)


def _open(reason: str) -> dict[str, object]:
    return {"reason": reason, "state": "requested", "due_at": None, "stop_reason": None}
