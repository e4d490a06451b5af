"""Pages to log in and out, and to authenticate again."""
