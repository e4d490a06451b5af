"""What the schedule shows of its dumps."""

from prometheus_client import Counter, Gauge

last_success = Gauge(
    "backup_last_success_timestamp_seconds", "The time of the databases in the newest complete dump; 0 without any"
)
interval = Gauge("backup_interval_seconds", "Time between two dumps")
size = Gauge("backup_size_bytes", "Size of the newest complete dump, without the objects that all dumps share")
duration = Gauge("backup_duration_seconds", "How long the newest complete dump took")
documents = Gauge("backup_documents", "Documents in the newest complete dump")
failures = Counter("backup_failures_total", "Dumps that failed, or were not as they had been written")
