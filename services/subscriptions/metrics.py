"""What subscriptions counts."""

from prometheus_client import Counter, Gauge, Histogram

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
