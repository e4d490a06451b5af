"""Work on what strangers send, in confined processes."""
