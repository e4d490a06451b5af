"""Ships the lines of all containers' logs to a receiver over RELP with TLS: docs/operating.md#logs."""
