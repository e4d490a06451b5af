"""Deployment: image, gateway, topics, monitoring, backup, and the local stack."""
