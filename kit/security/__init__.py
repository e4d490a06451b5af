"""Callers, denials, encryption."""
