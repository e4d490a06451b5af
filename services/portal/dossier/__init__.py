"""A practitioner's dossier: lists, forms, and the copy to download."""
