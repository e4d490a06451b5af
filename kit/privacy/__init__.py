"""Privacy: reads of a dossier are audited, people can be erased, encrypted data get new keys."""
