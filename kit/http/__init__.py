"""The HTTP layer: apps, who calls, errors, limits, pages; and requests to others."""
