"""Mechanism that every service needs, independent of the field."""
