"""subscriptions owns how other systems follow the records without Kafka: the feed of changes, and webhooks."""
