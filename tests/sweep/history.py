"""The client log of a sweep: what each client asked, when, and the answer; kept as JSON lines to check it again."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Self

Kind = Literal["create", "edit", "delete", "read"]
Outcome = Literal["ok", "refused", "unknown"]
Channel = Literal["feed", "webhook"]
NEVER = math.inf
DELETED = "deleted"
"""In place of the digest of a record's data: the record is deleted."""


def digest(data: Mapping[str, object]) -> str:
    """A short digest of a record's data, the same for equal data."""
    return hashlib.blake2b(json.dumps(data, sort_keys=True).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one record; a create is one operation, however often it was requested with its key.

    `expected`: the version of `If-Match`, 0 for a create. Times are seconds of the monotonic clock; `returned` is
    `NEVER` without an answer. `sent`: the digest of the data (`DELETED` for a delete, empty for a read). `version`
    and `seen`: the version that the answer showed and the digest of its data; a 404 shows `DELETED` without a version.
    """

    client: str
    person: str
    record: str
    kind: Kind
    expected: int
    invoked: float
    returned: float
    outcome: Outcome
    sent: str = ""
    version: int | None = None
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """One answer to a create with this key: the digest of the whole answer."""

    key: str
    record: str
    answer: str


@dataclass(frozen=True, slots=True)
class Login:
    """One log-in of a person who logs in once. `requests`: for a code, accepted or unanswered.

    `opened`: sessions that were acknowledged for the right code; `opened_by_wrong`: for a wrong one. `proved`: whether
    the right code was sent at all. `unlimited`: whether two more codes were accepted at once, above the limit of one a
    minute; a single one may be, if Redis has lost its counter.
    """

    person: str
    phone: str
    requests: int
    opened: int
    opened_by_wrong: int
    proved: bool
    unlimited: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """One scan of a record: whether it obeys the rules, and whether its upload was acknowledged."""

    person: str
    record: str
    sha256: str
    good: bool
    acknowledged: bool
    invoked: float
    returned: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that a subscriber has accepted, in the order of acceptance."""

    channel: Channel
    person: str
    record: str
    version: int
    at: float


Entry = Operation | Created | Login | Upload | Delivery
ENTRIES: dict[str, type[Entry]] = {each.__name__: each for each in (Operation, Created, Login, Upload, Delivery)}


@dataclass
class History:
    """The log: appended to by all clients of one process."""

    operations: list[Operation] = field(default_factory=list)
    created: list[Created] = field(default_factory=list)
    logins: list[Login] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Append an entry to the list of its type."""
        if isinstance(entry, Operation):
            self.operations.append(entry)
        elif isinstance(entry, Created):
            self.created.append(entry)
        elif isinstance(entry, Login):
            self.logins.append(entry)
        elif isinstance(entry, Upload):
            self.uploads.append(entry)
        else:
            self.deliveries.append(entry)

    @property
    def entries(self) -> list[Entry]:
        """All entries, by type."""
        return [*self.operations, *self.created, *self.logins, *self.uploads, *self.deliveries]

    def acknowledged_times(self) -> list[float]:
        """When each acknowledged write was answered, in order."""
        return sorted(each.returned for each in self.operations if each.kind != "read" and each.outcome == "ok")

    def write(self, path: Path) -> None:
        """Write the log, one entry a line."""
        with path.open("w") as file:
            file.writelines(json.dumps({"entry": type(each).__name__, **asdict(each)}) + "\n" for each in self.entries)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a log that `write` has written."""
        history = cls()
        for line in path.read_text().splitlines():
            fields = json.loads(line)
            history.add(ENTRIES[fields.pop("entry")](**fields))
        return history
