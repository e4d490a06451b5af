"""The scopes of API clients and what each permits. docs/security/authorization.md lists the calls that need one."""

from typing import Final

SCOPES: Final = {
    "intake": "register people and check who has a dossier, for card readers that are API clients",
    "certificates:issue": "issue, rebind and revoke digital certificates",
    "practitioners:lookup": "find the ids of people by their document numbers",
    "practitioners:read": "read basic information, portraits, certificates and access logs",
    "records:read": "read records and their histories",
    "attachments:read": "read scans",
    "attachments:original": "read scans as they were uploaded",
    "signature:read": "read signature sheets and signatures",
    "changes:read": "receive changes of records: the change feed and webhooks",
    "imports:write": "import records of the client's own registers",
}
