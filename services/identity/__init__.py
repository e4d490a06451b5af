"""identity: practitioners, digital certificates, log-in, staff accounts, API clients, erasures."""
