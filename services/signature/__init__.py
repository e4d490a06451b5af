"""signature owns the signature sheets, their scans, and the signatures cut out of them."""
