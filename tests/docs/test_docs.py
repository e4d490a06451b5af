"""The documentation is consistent: pictures match their sources, links have targets."""

import re
from pathlib import Path

from deploy.pictures import outdated

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), ROOT / "kit/README.md", *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchor of a heading, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {each.strip().replace(" ", "-") for each in words}


def broken(page: Path) -> list[str]:
    links = [first or second for first, second in LINK.findall(CODE.sub("", page.read_text()))]
    return [link for link in links if not link.startswith(("http://", "https://", "mailto:")) and not leads(page, link)]


def leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or target.suffix != ".md" or anchor in anchors(target))


def test_pictures_are_rendered_from_their_sources() -> None:
    assert outdated() == [], "run `make pictures`"


def test_every_link_leads_somewhere() -> None:
    found = {str(page.relative_to(ROOT)): links for page in PAGES if (links := broken(page))}
    assert found == {}
