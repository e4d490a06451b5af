"""Accounts of staff and of API clients."""
