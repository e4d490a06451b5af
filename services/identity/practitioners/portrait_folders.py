"""The object keys of portraits: one folder per person; portraits of old releases are outside of it."""

from kit.core.documents import field_of
from kit.core.ids import secret_id
from kit.mongo import Fields

PORTRAIT_FOLDERS = "people"
"""The prefix of all folders."""


def portraits(person: Fields) -> list[str]:
    """The object keys of all portraits of a person, from their document and its history."""
    changes = [change for entry in field_of(person, "history", list) for change in entry["changes"]]
    keys = [change["new"] for change in changes if change["field"] == "portrait_key"]
    return [str(key) for key in dict.fromkeys([*keys, person.get("portrait_key")]) if key]


def new_folder() -> str:
    """A random folder for a person's portraits."""
    return f"{PORTRAIT_FOLDERS}/{secret_id()}"


def portrait_files(person: Fields) -> list[str]:
    """The prefixes of a person's portraits: their folder, and the object key of each portrait outside of it."""
    own = [f"{person['folder']}/"] if person.get("folder") else []
    return own + [key for key in portraits(person) if not key.startswith(tuple(own))]
