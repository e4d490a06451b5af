"""The whole stack on one machine without Docker: real servers and our processes under a supervisor."""
