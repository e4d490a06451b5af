"""The sweep: clients that log what they were answered, and the checks of that log after faults."""
