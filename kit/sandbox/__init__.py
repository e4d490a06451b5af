"""Work on untrusted input, in confined processes."""
