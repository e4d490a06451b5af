"""Pages to log in and out, and to prove it once more."""
