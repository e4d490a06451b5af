"""Values and rules without I/O: what domain code is built from."""
