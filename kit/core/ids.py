"""Identifiers: random ones, and ones derived from what makes a thing unique."""

from random import Random
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

_RANDOM = Random()  # noqa: S311  # seeded by the operating system, once a process


def new_id() -> str:
    """A random UUID for what need not be unguessable; a call to the operating system for each would cost 80 µs."""
    return str(UUID(int=_RANDOM.getrandbits(128), version=4))


def secret_id() -> str:
    """An unguessable random UUID (122 bits from the operating system)."""
    return str(uuid4())


def derived_id(*parts: str) -> str:
    """The same UUID for the same parts: a second insert of the same thing meets the unique `_id` (RFC 9562 §5.5)."""
    return str(uuid5(NAMESPACE_OID, "\x1f".join(parts)))


def is_id(text: str) -> bool:
    """Whether `text` is a UUID as this system writes them: 36 lower-case characters."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
