"""Where portraits lie in the bucket: a folder a person; those that earlier versions stored lie outside."""

from kit.core.documents import field_of
from kit.core.ids import secret_id
from kit.mongo import Fields

PORTRAIT_FOLDERS = "people"
"""What the folders of people's portraits begin with."""


def portraits(person: Fields) -> list[str]:
    """The keys of every portrait a person ever had, out of their document with its history."""
    changes = [change for entry in field_of(person, "history", list) for change in entry["changes"]]
    keys = [change["new"] for change in changes if change["field"] == "portrait_key"]
    return [str(key) for key in dict.fromkeys([*keys, person.get("portrait_key")]) if key]


def new_folder() -> str:
    """Where another person's portraits are kept."""
    return f"{PORTRAIT_FOLDERS}/{secret_id()}"


def portrait_files(person: Fields) -> list[str]:
    """How the keys of all portraits of a person begin: their folder, and each that lies outside."""
    own = [f"{person['folder']}/"] if person.get("folder") else []
    return own + [key for key in portraits(person) if not key.startswith(tuple(own))]
