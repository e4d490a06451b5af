"""notify owns every message to a person: its text, its way through an operator, and what became of it."""
