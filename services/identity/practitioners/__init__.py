"""Practitioners: registered, found, shown, and who accessed their dossier."""
