"""Where a service holds personal data: declared beside its collections, read by the erasure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kit.core.documents import PERSON
from kit.mongo import Fields


def no_files(_: Fields) -> Sequence[str]:
    """Of documents that name none."""
    return ()


@dataclass(frozen=True)
class PersonalData:
    """A collection with documents of people; `person`: the field with their id, `indexed` where that is known to be.

    `files`: how the keys of the objects begin that a document (with its history) names.
    """

    collection: str
    person: str = PERSON
    indexed: bool = False
    files: Callable[[Fields], Sequence[str]] = no_files
