"""The services: each owns its documents, its topics and its part of the API; none imports another."""
