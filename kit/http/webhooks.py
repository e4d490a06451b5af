"""Webhooks as the Standard Webhooks specification signs them: the only importer of standardwebhooks."""

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

SECRET_BYTES = 32


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base64."""
    return f"whsec_{base64.b64encode(os.urandom(SECRET_BYTES)).decode()}"


def signed(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The headers of a message: its id, the time of this attempt, and a signature by each of the secrets."""
    in_utc, text = at.astimezone(UTC), body.decode()
    signatures = [Webhook(secret).sign(message_id, in_utc, text) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(in_utc.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
