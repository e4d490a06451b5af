"""The kit's metrics; those of a single service are in its own metrics.py.

A counter with labels does not exist before its first count, and Prometheus sees no increase in a counter that begins
at 1. Code that counts what an alert is about calls `initialise` when it starts.
"""

from collections.abc import Sequence
from itertools import product

from prometheus_client import Counter, Gauge, Histogram

requests = Histogram(
    "http_request_duration_seconds", "Time to answer a request, by route", ["handler", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)  # fmt: skip
requests_aborted = Counter(
    "http_requests_aborted_total",
    "Requests refused or aborted by a limit: busy, slow_body, slow_answer, slow_reader, spool",
    ["cause"],
)
admission_limit = Gauge("http_admission_limit", "Requests that this process may handle at once, by how long they take")
security_events = Counter("security_events_total", "Security events", ["event", "outcome", "cause"])
check_ok = Gauge("check_ok", "1 while this readiness check passes", ["check"])
certificate_expires = Gauge(
    "certificate_expires_timestamp_seconds", "When the certificate that this process uses expires; 0 without TLS"
)

write_conflicts = Counter("write_conflicts_total", "Writes that lost a race against another writer", ["collection"])

migration_progress = Gauge(
    "migration_progress", "Share of the documents that a migration has checked; 1 when it has finished",
    ["service", "migration"],
)  # fmt: skip

publisher_events = Counter("publisher_events_total", "Events published", ["service"])
publisher_leads = Gauge("publisher_leads", "1 while this process is the leader and publishes", ["service"])
publisher_lag_events = Gauge("publisher_lag_events", "Changes in the database not yet published", ["service"])
publisher_lag_seconds = Gauge("publisher_lag_seconds", "Age of the oldest change not yet published", ["service"])
publisher_restarts = Counter("publisher_restarts_total", "Restarts of the publisher after an error", ["service"])
publisher_oplog_seconds = Gauge("publisher_oplog_seconds", "Time between the oplog's first and last entry", ["service"])
publisher_snapshots = Counter(
    "publisher_snapshots_total", "Snapshots published because the position was lost", ["service"]
)
publisher_failed_events = Counter(
    "publisher_failed_events_total", "Versions that could not be turned into an event", ["service"]
)

consumer_lag = Gauge("consumer_lag_events", "Events not yet handled", ["group", "topic", "partition"])
consumer_events = Counter("consumer_events_total", "Events: done, ignored, dead_lettered", ["group", "outcome"])
consumer_retries = Counter("consumer_retries_total", "Retries after a transient error", ["group"])
consumer_seconds = Histogram(
    "consumer_batch_seconds", "Time to handle one batch", ["group"], buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60)
)
dead_letters = Counter("dead_letters_total", "Events written to the dead-letter topic", ["group"])
dead_letters_open = Gauge("dead_letters_open", "Dead letters neither replayed nor dropped", ["group"])
consumer_stopped = Gauge("consumer_stopped", "1 while a process ends because of too many dead letters", ["group"])
ended_sessions_reader_up = Gauge(
    "ended_sessions_reader_up", "1 while this process receives ended sessions from Redis", ["stream"]
)
uploads_checked = Counter(
    "uploads_checked_total", "Uploaded files by the verdict of their check: accepted, refused", ["what", "verdict"]
)
upload_verdict_seconds = Histogram(
    "upload_verdict_seconds", "Time from an upload until the verdict of its check", ["what"],
    buckets=(1, 2, 5, 10, 30, 60, 300),
)  # fmt: skip
import_rows = Counter("import_rows_total", "Rows of imports: created, updated, unchanged, failed", ["kind", "outcome"])
erased_documents = Counter("erased_documents_total", "Documents removed by erasures")


def initialise(counter: Counter, *values: Sequence[str]) -> None:
    """Show a counter as 0 for every combination of its labels' values."""
    for labels in product(*values):
        counter.labels(*labels)
