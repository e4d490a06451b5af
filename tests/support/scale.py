"""The size of tests: short in CI, which has half an hour; full in `make test-long`."""

import os

LONG = os.environ.get("LONG") == "1"


def scaled(full: int, short: int) -> int:
    return full if LONG else short
