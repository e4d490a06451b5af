"""subscriptions owns the change feed and webhooks, for systems that follow records without Kafka."""
