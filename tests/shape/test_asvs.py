"""The table of ASVS requirements is complete, and the files and tests that it names exist."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OVERVIEW = ROOT / "docs/security/asvs.md"
CHAPTERS = sorted((ROOT / "docs/security/asvs").glob("*.md"))
STATUSES = ("met", "partly", "not yet", "accepted", "not applicable")
IN_SCOPE = """
    1.2.4-5 1.3.3,6,12 1.5.2-3
    2.1.1-3 2.2.1-3 2.3.1-4 2.4.1-2
    3.2.1 3.3.1-4 3.4.1-6 3.5.1-3
    4.1.1-4 4.2.1
    5.1.1 5.2.1-4,6 5.3.1-2 5.4.1-3
    6.1.1,3 6.2.1-12 6.3.1-5,7-8 6.4.1-4 6.5.1-6 6.6.1-3
    7.1.1-3 7.2.1-4 7.3.1-2 7.4.1-3,5 7.5.1-3
    8.1.1-2 8.2.1-3 8.3.1-3 8.4.1
    9.1.1-3 9.2.1-4
    11.1.1-2 11.2.1-3 11.3.1-4 11.4.1,3 11.5.1 11.6.1
    12.1.1-2 12.2.1-2 12.3.1-5
    13.1.1-3 13.2.1-6 13.3.1-2,4 13.4.1-6
    14.1.1-2 14.2.1-4,6-8 14.3.1-3
    15.1.1-3 15.2.1-3,5 15.3.1,3-5,7 15.4.2
    16.1.1 16.2.1-5 16.3.1-4 16.4.1-3 16.5.1-4
"""
"""Requirements of ASVS 5.0.0 in scope, by section: docs/security/asvs.md says how they were chosen."""
ROW = re.compile(r"\| V(\d+\.\d+\.\d+) \| ([123]) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")
CODE, LINK = re.compile(r"`([^`]+)`"), re.compile(r"\]\([^)]+\)")
PLACE = re.compile(r"\w[\w.-]*(?:/[\w.-]+)+(?:::\w+)?|[\w-]+\.(?:md|toml|yml)")


@dataclass(frozen=True)
class Row:
    number: str
    level: str
    status: str
    why: str


def places(text: str) -> list[str]:
    """The files and tests that a text names: `folder/file` or `folder/file::test`."""
    return [code for code in CODE.findall(text) if PLACE.fullmatch(code)]


def rows() -> Iterator[Row]:
    for page in CHAPTERS:
        for line in page.read_text().splitlines():
            if line.startswith("| V"):
                row = ROW.fullmatch(line)
                assert row, f"{page.name}: not a row of the table: {line}"
                yield Row(row[1], row[2], row[4], row[5])


def in_scope() -> Iterator[str]:
    for section in IN_SCOPE.split():
        prefix, _, numbers = section.rpartition(".")
        for each in numbers.split(","):
            first, _, last = each.partition("-")
            yield from (f"{prefix}.{number}" for number in range(int(first), int(last or first) + 1))


def test_every_requirement_in_scope_has_one_row() -> None:
    assert len(list(in_scope())) == 197
    assert sorted(row.number for row in rows()) == sorted(in_scope())
    assert Counter(row.level for row in rows()) == {"1": 57, "2": 114, "3": 26}


def test_every_row_has_a_status_and_what_shows_it() -> None:
    assert [row.number for row in rows() if row.status not in STATUSES] == []
    assert [row.number for row in rows() if row.status == "met" and not (places(row.why) or LINK.search(row.why))] == []


def test_every_named_file_and_test_exists() -> None:
    pages = [*CHAPTERS, OVERVIEW, OVERVIEW.with_name("threat-model.md"), ROOT / "SECURITY.md"]
    named = [(page.name, place) for page in pages for place in places(page.read_text())]
    assert [each for each in named if not exists(each[1])] == []


def exists(place: str) -> bool:
    path, _, test = place.partition("::")
    file = ROOT / path
    return file.exists() and (not test or f"def {test}(" in file.read_text())


def test_the_overview_counts_the_rows() -> None:
    counted = Counter((row.number.partition(".")[0], row.status) for row in rows())
    table = OVERVIEW.read_text()
    chapters = re.findall(r"^\| \[V(\d+) .*?\]\(.+?\) \|(.+)\|$", table, re.MULTILINE)
    assert {(chapter, status): number for chapter, cells in chapters for status, number in numbers(cells)} == counted
    (total,) = re.findall(r"^\| together \|(.+)\|$", table, re.MULTILINE)
    assert dict(numbers(total)) == Counter(row.status for row in rows())


def numbers(cells: str) -> Iterator[tuple[str, int]]:
    """The numbers of a line of the overview, by status; empty cells are left out."""
    for status, cell in zip(STATUSES, cells.split("|"), strict=True):
        if cell.strip():
            yield status, int(cell)
