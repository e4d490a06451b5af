"""File formats: images, printed sheets, PDF, tables. Untrusted files are read in a sandbox."""
