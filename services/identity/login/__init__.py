"""Log-in by SMS code: codes, sessions, known devices, recent authentication."""
