"""docker-compose.yml run without Docker: an engine, stand-ins for images of others, and what is tried on them."""
