"""records owns the practitioners' records of all kinds, with their history, and imports them from registers."""
