"""Backup and restore of databases and objects: `python -m deploy.backup`."""
