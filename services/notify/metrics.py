"""What notify counts."""

from prometheus_client import Counter, Gauge, Histogram

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
