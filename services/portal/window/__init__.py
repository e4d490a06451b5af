"""The window: whom a clerk attends to, and how they are registered."""
