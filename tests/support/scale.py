"""How much of everything: CI has half an hour, `make test-long` plays the full numbers."""

import os

LONG = os.environ.get("LONG") == "1"


def scaled(full: int, short: int) -> int:
    return full if LONG else short
