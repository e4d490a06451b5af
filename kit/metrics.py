"""The catalogue of metrics: every name that dashboards and alerts use.

A counter with labels is not there before its first count, and a counter that begins at 1 has never grown: whoever
counts what an alert waits for says `begin` when it starts.
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

sms_messages = Counter("sms_messages_total", "Messages that reached a state", ["purpose", "state", "provider"])
sms_seconds = Histogram("sms_accepted_seconds", "From request to the operator's yes", ["purpose", "provider"])
sms_delivered_seconds = Histogram(
    "sms_delivered_seconds", "From request to the phone", ["purpose", "provider"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
)  # fmt: skip
sms_attempts = Counter(
    "sms_attempts_total", "Answers of operators, and none, by what they mean", ["provider", "outcome"]
)
sms_alarms = Counter(
    "sms_alarms_total", "Refusals that somebody has to end: configuration, money", ["provider", "reason"]
)
sms_receipts = Counter(
    "sms_receipts_total", "Calls with receipts, by the secret they came with: current, former", ["provider", "secret"]
)
sms_operator_state = Gauge("sms_operator_state", "0 in use, 1 to be tried with one message, 2 left alone", ["provider"])
logins = Counter("logins_total", "Codes: asked, right, wrong, expired, limited", ["outcome"])
staff_logins = Counter("staff_logins_total", "Log-ins of staff: right, wrong, limited", ["outcome"])
login_alarms = Counter("login_alarms_total", "Budgets of the whole city that were spent", ["budget"])
ended_sessions_followed = Gauge(
    "ended_sessions_followed", "1 while this process learns at once that a session has ended", ["stream"]
)
captchas = Counter(
    "captchas_total", "Captchas: made, heard as audio, right, wrong, expired or spent before", ["outcome"]
)
uploads = Counter(
    "uploads_judged_total", "Files of people by what the check said: accepted, refused", ["what", "verdict"]
)
feed_polls = Gauge("feed_polls", "Requests for changes that are answered or wait just now")
feed_events = Counter("feed_events_total", "Events given out by the feed of changes")
feed_seeks = Counter("feed_seeks_total", "Answers for readers so far behind that Kafka was read anew")
feed_unreadable = Counter("feed_unreadable_total", "Records passed over because they are no events")
webhook_deliveries = Counter(
    "webhook_deliveries_total", "Attempts to deliver to webhooks: delivered, failed; abandoned: given up", ["outcome"]
)
webhook_seconds = Histogram(
    "webhook_answer_seconds", "Time that receivers of webhooks take", buckets=(0.02, 0.1, 0.5, 2, 5, 10, 20)
)
webhook_pauses = Counter("webhook_pauses_total", "Webhooks paused by themselves: failing, gone", ["reason"])
webhooks = Gauge("webhooks", "Webhooks of this worker: active, failing, paused", ["state"])
import_rows = Counter(
    "import_rows_total",
    "Rows of imports by what became of them: created, updated, unchanged, failed",
    ["kind", "outcome"],
)
erased_documents = Counter("erased_documents_total", "Documents of people who were erased")


def begin(counter: Counter, *values: Sequence[str]) -> None:
    """Show a counter as 0 for every combination of its labels' values."""
    for labels in product(*values):
        counter.labels(*labels)
