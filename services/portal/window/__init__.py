"""The window: the person that a clerk attends to, and registration."""
