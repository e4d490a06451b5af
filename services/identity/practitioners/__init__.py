"""Practitioners: registered, looked up, read, and the access log of their dossier."""
