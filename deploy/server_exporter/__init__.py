"""server-exporter: metrics of Kafka and MongoDB that our other processes don't see: members, replicas, subscribers."""
