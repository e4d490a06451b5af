"""Disputes: a practitioner says what is wrong in a record that a source keeps, a clerk closes it with a reason."""
