"""Objects that both processes need."""

import httpx2

from kit.core.clock import SystemClock
from kit.files.encrypted_bucket import EncryptedBucket
from kit.http.service_client import ServiceClient
from kit.mongo import Database
from kit.privacy.access_audit import AccessAudit
from services.attachments.known_records import KnownRecords
from services.attachments.service import AttachmentService
from services.attachments.settings import Settings
from services.attachments.store import Attachments

RECORDS_TIMEOUT_SECONDS = 5


def attachment_service(
    settings: Settings, database: Database, bucket: EncryptedBucket, http: httpx2.AsyncClient, attachments: Attachments,
    audit: AccessAudit,
) -> AttachmentService:  # fmt: skip
    """The service with its projection of records."""
    known = KnownRecords.over(database, ServiceClient("records", http))
    max_waiting = settings.quotas.uploads_at_once
    return AttachmentService(attachments, known, bucket, audit, SystemClock(), max_waiting)
