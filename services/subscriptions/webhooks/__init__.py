"""Webhooks: registered by clients, delivered by workers."""
