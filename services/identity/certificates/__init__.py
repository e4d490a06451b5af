"""Digital certificates: issued, bound to another phone, revoked."""
