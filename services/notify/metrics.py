"""Metrics of notify."""

from prometheus_client import Counter, Gauge, Histogram

sms_messages = Counter("sms_messages_total", "Messages by the state they reached", ["purpose", "state", "provider"])
sms_seconds = Histogram(
    "sms_accepted_seconds", "Time from the request until a carrier accepted the message", ["purpose", "provider"]
)
sms_delivered_seconds = Histogram(
    "sms_delivered_seconds", "Time from the request until the message was delivered", ["purpose", "provider"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
)  # fmt: skip
sms_attempts = Counter(
    "sms_attempts_total",
    "Requests to carriers: accepted, unknown (no answer), notsent, or the reason of a refusal",
    ["provider", "outcome"],
)
sms_carrier_errors = Counter(
    "sms_carrier_errors_total",
    "Refusals by a carrier that last until an operator acts: configuration, money",
    ["provider", "reason"],
)
sms_receipts = Counter(
    "sms_receipts_total",
    "Requests with delivery receipts, by the secret they were sent with: current, former",
    ["provider", "secret"],
)
sms_carrier_state = Gauge(
    "sms_carrier_state", "Circuit breaker of a carrier: 0 closed, 1 half-open, 2 open", ["provider"]
)
