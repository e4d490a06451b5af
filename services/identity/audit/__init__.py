"""The audit trail: entries in a chain of hashes, signed heads, and their verification."""
