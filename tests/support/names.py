"""Unique names, so that tests do not share data."""

import random
import secrets
from uuid import uuid4


def own_name(prefix: str) -> str:
    """A name for topics, groups, databases."""
    return f"{prefix}-{secrets.token_hex(4)}"


def own_id() -> str:
    """An id for practitioners and documents."""
    return str(uuid4())


def seeded() -> random.Random:
    """A random source; the output of a failed test has its seed."""
    seed = secrets.randbits(32)
    print(f"random seed: {seed}")
    return random.Random(seed)
