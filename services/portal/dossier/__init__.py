"""A practitioner's dossier: lists, forms, and the export to download."""
