"""The change feed: pages of changes after a cursor."""
