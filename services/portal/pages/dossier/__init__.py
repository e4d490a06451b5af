"""Pages of a practitioner's own dossier."""
