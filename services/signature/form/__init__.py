"""The printed form: made for a person, and how it is laid out."""
