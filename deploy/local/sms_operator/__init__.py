"""A stand-in for the SMS operators on a developer's machine: speaks their wire protocol, keeps what it was sent."""
