"""The newest published version of every document, read from the topics: a backup may be older."""

from dataclasses import dataclass, field

from pydantic import ValidationError

from contracts.identity import PractitionerErased
from kit import kafka
from kit.kafka import Record
from kit.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class LatestVersion:
    """The highest published version, its person, whether a tombstone came last, and the proof of an erasure."""

    version: int
    person: str
    removed: bool
    proof: str | None = None


@dataclass
class LatestVersions:
    """By document id; and who was erased: practitioner id by erasure id."""

    documents: dict[str, LatestVersion] = field(default_factory=dict)
    erasures: dict[str, LatestVersion] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Take one more record of the topic into account."""
        headers = dict(record.headers)
        if record.key is None or "ce_sequence" not in headers:
            return
        erasure = headers["ce_type"] == PractitionerErased.TYPE.encode()
        newest = self.erasures if erasure else self.documents
        key, published = record.key.decode(), int(headers["ce_sequence"])
        known = newest.get(key)
        version = max(published, known.version if known else 0)
        person, proof = headers["ce_partitionkey"].decode(), known.proof if known else None
        newest[key] = LatestVersion(
            version, person, record.value is None, (_proof(record) or proof) if erasure else None
        )


def _proof(record: Record) -> str | None:
    """Return the proof that the record claims; only identity can check it."""
    try:
        return PractitionerErased.model_validate_json(record.value or b"").proof
    except ValidationError:
        return None


async def latest_versions_of(settings: KafkaSettings, service: str) -> LatestVersions:
    """Read the service's whole topic."""
    newest = LatestVersions()
    await kafka.read_all(settings, [f"{service}.changes"], newest.take)
    return newest
