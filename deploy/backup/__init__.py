"""Backup of everything that may not be lost, and its way back: `python -m deploy.backup dump|restore|files|prune`."""
