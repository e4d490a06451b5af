"""The entity of an erasure, with its transitions."""

from datetime import datetime
from typing import ClassVar, Literal, Self

from kit.core.documents import RESTORED, Document, Entry
from kit.core.ids import derived_id

ErasureState = Literal["requested", "approved", "stopped", "erased", "restored"]


def erasure_id(practitioner_id: str) -> str:
    """The id of a person's only erasure; not the person's id, because their events end with a tombstone."""
    return derived_id("erasure", practitioner_id)


class ErasureRequest(Document):
    """A person's erasure and its reason: all that is kept of an erased person.

    Documents of early releases have no state: these erasures were carried out at once. `restored`: recovered from the
    topic after a restore, until `proof`, a keyed hash, confirms that identity published it. `slot`: its slot of the day
    on which it was carried out.
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
        ids = {"id": erasure_id(practitioner_id), "practitioner_id": practitioner_id}
        return cls.first(at=at, by=by, action="requested", **ids, **_open(reason))

    @classmethod
    def restored(cls, practitioner_id: str, proof: str | None, *, at: datetime, by: str) -> Self:
        """Recovered from the topic, because the restored backup does not contain it."""
        ids = {"id": erasure_id(practitioner_id), "practitioner_id": practitioner_id}
        unconfirmed = {"reason": "restored from the topic", "state": "restored", "proof": proof}
        return cls.first(at=at, by=by, action=RESTORED, **ids, **unconfirmed)

    def requested_again(self, reason: str, *, at: datetime, by: str) -> Self:
        """Requested again after it was stopped."""
        return self.next_version(_open(reason), at=at, by=by, action="requested")

    def repeated(self, reason: str, *, at: datetime, by: str) -> Self:
        """Requested again after it was carried out: every service repeats it."""
        return self.next_version({"reason": reason}, at=at, by=by, action="repeated")

    def approved(self, due_at: datetime, *, at: datetime, by: str) -> Self:
        """Approved: carried out at `due_at`, unless it is stopped before."""
        return self.next_version({"state": "approved", "due_at": due_at}, at=at, by=by, action="approved")

    def stopped(self, reason: str, *, at: datetime, by: str) -> Self:
        """Stopped before it was carried out."""
        return self.next_version({"state": "stopped", "stop_reason": reason}, at=at, by=by, action="stopped")

    def proved(self, proof: str, *, at: datetime, by: str) -> Self:
        """An erasure of a release before proofs existed gets its proof."""
        return self.next_version({"proof": proof}, at=at, by=by, action="proved")

    def carried_out(self, proof: str, slot: str, *, at: datetime, by: str) -> Self:
        """Carried out, in a slot of the day."""
        done = {"state": "erased", "proof": proof, "slot": slot}
        return self.next_version(done, at=at, by=by, action="carried_out")

    def confirmed(self, *, at: datetime, by: str) -> Self:
        """The proof of a restored erasure is genuine: the person is erased again."""
        return self.next_version({"state": "erased"}, at=at, by=by, action="carried_out")

    def refuted(self, sentence: str, *, at: datetime, by: str) -> Self:
        """The proof of a restored erasure is not genuine."""
        refused = {"state": "stopped", "stop_reason": sentence, "proof": None}
        return self.next_version(refused, at=at, by=by, action="stopped")

    def last(self, *actions: str) -> Entry | None:
        """The newest history entry with one of these actions."""
        return next((entry for entry in reversed(self.history) if entry.action in actions), None)


def _open(reason: str) -> dict[str, object]:
    return {"reason": reason, "state": "requested", "due_at": None, "stop_reason": None}
