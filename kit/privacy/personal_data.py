"""Where a service holds personal data: declared with its collections, used by the erasure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kit.core.documents import PERSON
from kit.mongo import Fields


def no_files(_: Fields) -> Sequence[str]:
    """For documents without files."""
    return ()


@dataclass(frozen=True)
class PersonalData:
    """A collection with documents about people; `person`: the field with their id; `indexed`: it already has an index.

    `files`: the prefixes of the object keys of a document (with its history).
    """

    collection: str
    person: str = PERSON
    indexed: bool = False
    files: Callable[[Fields], Sequence[str]] = no_files
