"""Who may do what in Kafka, MongoDB, Redis and S3: the plan, derived from the services, and how it is applied."""
