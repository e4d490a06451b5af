"""The list of breached passwords that ships with identity."""
