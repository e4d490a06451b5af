"""Names that nothing else in the stack has: what a test makes is its own."""

import random
import secrets
from uuid import uuid4


def own_name(prefix: str) -> str:
    """For topics, groups, databases."""
    return f"{prefix}-{secrets.token_hex(4)}"


def own_id() -> str:
    """For practitioners and documents."""
    return str(uuid4())


def seeded() -> random.Random:
    """A random source whose seed stands in the output of a test that fails."""
    seed = secrets.randbits(32)
    print(f"random seed: {seed}")
    return random.Random(seed)
