"""A stand-in for the reader on a clerk's machine: cards are laid on it by hand, the portal's page reads them."""
