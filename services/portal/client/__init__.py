"""Calls to the other services, and their answers."""
