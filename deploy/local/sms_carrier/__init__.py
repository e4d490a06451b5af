"""A simulator of the SMS carriers for a developer's machine: speaks their wire protocols and keeps all messages."""
