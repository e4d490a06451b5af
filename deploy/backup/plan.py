"""What is kept of each service: a database, perhaps a bucket; and what becomes of documents that go back in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from kit.settings import BlobSettings, KafkaSettings, MongoSettings
from services.attachments import store as attachments
from services.identity import store as identity
from services.identity.accounts.command_events import COMMAND_EVENTS
from services.notify import store as notify
from services.notify.domain import OUTCOME_UNKNOWN
from services.records import store as records
from services.signature import store as signature

Patch = Mapping[str, object]


@dataclass(frozen=True)
class Plan:
    """`told`: collections whose topic is compacted; none: it has no topic. `fleeting`: what a log-in makes anew.

    `patches`: by collection, what becomes of a document whose newer versions are lost, where its old state does harm.
    """

    told: Sequence[str]
    bucket: bool = False
    fleeting: Sequence[str] = ()
    patches: Mapping[str, Patch] = field(default_factory=dict)


# who lost a phone had it unbound: the window binds it anew. A message that went on since must not be sent again.
REVOKED: Patch = {"state": "revoked", "contact": None}
# a client's newer secret is lost too, and it may have been disabled
DISABLED: Patch = {"enabled": False}
NOT_AGAIN: Patch = {"state": "failed", "reason": OUTCOME_UNKNOWN, "due_at": None, "sending": False}

PLANS: Mapping[str, Plan] = {
    "identity": Plan(
        identity.COMPACTED,
        bucket=True,
        fleeting=(identity.SESSIONS, identity.CHALLENGES, identity.DEVICES, COMMAND_EVENTS),
        patches={identity.CERTIFICATES: REVOKED, identity.CLIENTS: DISABLED},
    ),
    "records": Plan(records.COMPACTED, bucket=True),
    "attachments": Plan(attachments.COMPACTED, bucket=True),
    "signature": Plan(signature.COMPACTED, bucket=True),
    "notify": Plan(notify.COMPACTED, patches={notify.MESSAGES: NOT_AGAIN}),
    "subscriptions": Plan(()),
}  # fmt: skip
TELLING = [service for service, plan in PLANS.items() if plan.told]


class Storage(BlobSettings):
    """The account that reads and writes all buckets; one is called like its service, unless `buckets` says else."""

    bucket: str = ""
    buckets: dict[str, str] = Field(default={})


class Settings(BaseSettings):
    """`MONGO__URL` (all databases), `KAFKA__SERVERS`, `KAFKA__PARTITIONS`, `BLOBS__ENDPOINT` and its keys."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="ignore")

    mongo: MongoSettings
    kafka: KafkaSettings
    blobs: Storage

    def bucket_of(self, service: str) -> BlobSettings:
        """How to reach a service's bucket."""
        return self.blobs.model_copy(update={"bucket": self.blobs.buckets.get(service, service)})
