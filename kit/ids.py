"""Identifiers: random ones, and ones derived from what makes a thing unique."""

from uuid import NAMESPACE_OID, UUID, uuid4, uuid5


def new_id() -> str:
    """A random UUID (122 random bits from the operating system)."""
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
