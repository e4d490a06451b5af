"""Calls to the other services, and their responses."""
