"""What is backed up of each service, and how documents are changed that come back in an older version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    """`published`: collections on a compacted topic; empty: no topic. `fleeting`: not dumped, a log-in replaces it.

    `patches`: by collection, the fields set on a document whose newer versions are lost and whose old state would harm.
    """

    published: Sequence[str]
    bucket: bool = False
    fleeting: Sequence[str] = ()
    patches: Mapping[str, Patch] = field(default_factory=dict)


# a phone may have been lost and unbound since
REVOKED: Patch = {"state": "revoked", "contact": None}
# a client's newer secret is lost too, and it may have been disabled
DISABLED: Patch = {"enabled": False}
# a message may have been sent since
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
PUBLISHING = [service for service, plan in PLANS.items() if plan.published]
WITH_BUCKET = [service for service, plan in PLANS.items() if plan.bucket]
MONGO_ACTIONS = ("find", "listCollections", "changeStream")
"""What the user of the backup may do in each service's database; in each bucket it lists and reads."""
