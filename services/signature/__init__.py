"""signature owns the printed form for a person's signature, and what was cut out of its scan."""
