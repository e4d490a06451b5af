"""What the topics have told last of every document: a backup is older than that."""

from dataclasses import dataclass, field

from pydantic import ValidationError

from contracts.identity import PractitionerErased
from kit import kafka
from kit.kafka import Record
from kit.settings import KafkaSettings


@dataclass(frozen=True)
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
        """One record more."""
        headers = dict(record.headers)
        if record.key is None or "ce_sequence" not in headers:
            return
        erasure = headers["ce_type"] == PractitionerErased.TYPE.encode()
        heads = self.erasures if erasure else self.documents
        key, told = record.key.decode(), int(headers["ce_sequence"])
        known = heads.get(key)
        version = max(told, known.version if known else 0)
        person, proof = headers["ce_partitionkey"].decode(), known.proof if known else None
        heads[key] = LatestVersion(
            version, person, record.value is None, (_proof(record) or proof) if erasure else None
        )


def _proof(record: Record) -> str | None:
    """What a record says; whether it is true only identity knows."""
    try:
        return PractitionerErased.model_validate_json(record.value or b"").proof
    except ValidationError:
        return None


async def latest_versions_of(settings: KafkaSettings, service: str) -> LatestVersions:
    """Read the service's topic whole."""
    heads = LatestVersions()
    await kafka.read_all(settings, [f"{service}.changes"], heads.take)
    return heads
