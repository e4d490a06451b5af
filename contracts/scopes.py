"""Scopes of API clients: what each opens. Where one is needed is in docs/security/authorization.md."""

from typing import Final

SCOPES: Final = {
    "intake": "register people and look them up at the window, for card readers that are clients themselves",
    "certificates:issue": "issue certificates, bind another phone, revoke",
    "practitioners:lookup": "find the ids of people by their document numbers",
    "practitioners:read": "read personal data",
    "records:read": "read records and their histories",
    "attachments:read": "read scans",
    "attachments:original": "read scans as they were uploaded",
    "signature:read": "read signature forms and signatures",
    "changes:read": "follow changes of records: the feed and webhooks",
    "imports:write": "import records of one's own sources",
}
