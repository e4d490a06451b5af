"""A simulator of the card reader on a clerk's machine: people and tests put cards on it, the portal reads them."""
