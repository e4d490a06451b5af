"""Digital certificates: issued, bound to a phone, revoked."""
