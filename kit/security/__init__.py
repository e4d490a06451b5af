"""Who calls, what was denied, what is sealed."""
