"""Mechanism: what every service needs and what knows nothing of this field."""
