"""The kit's metrics; those of a single service are in its own metrics.py.

A counter with labels does not exist before its first count, and a counter that begins at 1 has never grown: code that
counts what an alert waits for calls `initialise` when it starts.
"""

from collections.abc import Sequence
from itertools import product

from prometheus_client import Counter, Gauge, Histogram

requests = Histogram(
    "http_request_duration_seconds", "Time to answer a request, by the route it found", ["handler", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)  # fmt: skip
requests_cut = Counter(
    "http_requests_cut_total", "Requests refused or ended: busy, slow_body, slow_answer, slow_reader, spool", ["cause"]
)
security_events = Counter(
    "security_events_total", "Security events: what happened, how it ended, and why", ["event", "outcome", "cause"]
)
check_ok = Gauge("check_ok", "1 while a check of this process' readiness is well", ["check"])

write_conflicts = Counter("write_conflicts_total", "Writes that another writer was quicker than", ["collection"])

publisher_events = Counter("publisher_events_total", "Events published", ["service"])
publisher_leads = Gauge("publisher_leads", "1 while this process publishes", ["service"])
publisher_lag_events = Gauge("publisher_lag_events", "Changes in the database that are not on Kafka yet", ["service"])
publisher_lag_seconds = Gauge("publisher_lag_seconds", "Age of the oldest change that is not on Kafka yet", ["service"])
publisher_restarts = Counter("publisher_restarts_total", "Times that publishing ended by an error", ["service"])
publisher_oplog_seconds = Gauge("publisher_oplog_seconds", "How far back the oplog reaches", ["service"])
publisher_snapshots = Counter("publisher_snapshots_total", "Snapshots begun because the position was gone", ["service"])
publisher_stubs = Counter("publisher_stubs_total", "Changes that could not be turned into an event", ["service"])

consumer_lag = Gauge("consumer_lag_events", "Events not handled yet", ["group", "topic", "partition"])
consumer_events = Counter("consumer_events_total", "Events by outcome: done, ignored, dead", ["group", "outcome"])
consumer_retries = Counter("consumer_retries_total", "Waits for a server that is away", ["group"])
consumer_seconds = Histogram(
    "consumer_batch_seconds", "Time to handle one batch", ["group"], buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60)
)
dead_letters = Counter("dead_letters_total", "Events sent to the dead letters", ["group"])
dead_letters_waiting = Gauge("dead_letters_waiting", "Dead letters that nobody has ended yet", ["group"])
consumer_stopped = Gauge("consumer_stopped", "1 while a consumer that met too many dead letters ends", ["group"])
ended_sessions_followed = Gauge(
    "ended_sessions_followed", "1 while this process learns at once that a session has ended", ["stream"]
)
uploads = Counter(
    "uploads_judged_total", "Files of people by what the check said: accepted, refused", ["what", "verdict"]
)
import_rows = Counter(
    "import_rows_total",
    "Rows of imports by what became of them: created, updated, unchanged, failed",
    ["kind", "outcome"],
)
erased_documents = Counter("erased_documents_total", "Documents of people who were erased")


def initialise(counter: Counter, *values: Sequence[str]) -> None:
    """Show a counter as 0 for every combination of its labels' values."""
    for labels in product(*values):
        counter.labels(*labels)
