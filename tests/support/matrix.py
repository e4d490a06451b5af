"""Tables of permissions: pages of docs/security that tests write, and compare with the actual responses."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.events import Event

FOLDER = Path("docs")
DENIED = {"no_token", "forbidden", "foreign_object", "secret_wrong"}
"""Causes of the security event that a denied request leaves; any other answer is one that the caller has a right to."""
ALLOWED = "✓"
Answers = Mapping[tuple[str, str], str]
"""`✓`, or how a request was refused, by column and by the role or scope of the caller ("": none)."""


def outcome(status: int, events: Sequence[Event]) -> str:
    """The meaning of a response, by the security events of its request."""
    return str(status) if {event["cause"] for event in events} & DENIED else ALLOWED


def table(columns: Sequence[str], rows: Mapping[str, Answers]) -> list[str]:
    """The lines of a table; the first column names the row."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, answers in rows.items():
        cells = [
            _cell({who: result for (column, who), result in answers.items() if column == each}) for each in columns[1:]
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def _cell(answers: Mapping[str, str]) -> str:
    if not answers:
        return "–"
    if len(set(answers.values())) == 1:
        return next(iter(answers.values()))
    may = sorted(name for name, result in answers.items() if result == ALLOWED)
    refused = sorted({result for result in answers.values() if result != ALLOWED})
    return "; ".join(", ".join(names) for names in (may, refused) if names)


def same_as_the_page(name: str, text: str) -> None:
    """Compares the page with `text`; with WRITE=1 in the environment writes it first."""
    page = FOLDER / name
    if os.environ.get("WRITE"):
        page.write_text(text)
    assert page.read_text().splitlines() == text.splitlines()
