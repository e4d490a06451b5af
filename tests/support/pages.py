"""Code blocks of pages in docs/, to be run."""

import re

from deploy.local.stack import ROOT


def blocks(page: str, heading: str, language: str = "sh") -> str:
    """The fenced blocks of one language between this heading of docs/`page` and the next one, joined."""
    text = (ROOT / "docs" / page).read_text()
    _, _, after = text.partition(f"# {heading}\n")
    section = re.split(r"^#+ ", after, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no {language} block below {heading!r}"
    return "".join(found)
