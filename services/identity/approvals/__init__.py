"""Requests that a second admin approves before they are carried out: accounts, roles, credentials of admins."""
