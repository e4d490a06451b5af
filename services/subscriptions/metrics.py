"""Metrics of subscriptions."""

from prometheus_client import Counter, Gauge, Histogram

feed_polls = Gauge("feed_polls", "Requests to the change feed in progress, long polls included")
feed_events = Counter("feed_events_total", "Events returned by the change feed")
feed_kafka_reads = Counter(
    "feed_kafka_reads_total", "Requests to the change feed that were answered from Kafka: too old for memory"
)
feed_unreadable = Counter("feed_unreadable_total", "Kafka records skipped because they are not events")
webhook_deliveries = Counter(
    "webhook_deliveries_total", "Attempts to deliver to webhooks: delivered, failed, abandoned", ["outcome"]
)
webhook_seconds = Histogram(
    "webhook_answer_seconds", "Response time of webhooks' receivers", buckets=(0.02, 0.1, 0.5, 2, 5, 10, 20)
)
webhook_pauses = Counter(
    "webhook_pauses_total", "Webhooks paused automatically: failing (for a day), gone (410)", ["reason"]
)
webhooks = Gauge("webhooks", "Webhooks assigned to this worker: active, failing, paused", ["state"])
