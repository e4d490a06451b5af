"""Processes: start, supervision, readiness, periodic tasks."""
