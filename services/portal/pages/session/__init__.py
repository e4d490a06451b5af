"""Pages to log in and out, and for the fresh proof."""
