"""Events between services: the publisher, and consumers."""
