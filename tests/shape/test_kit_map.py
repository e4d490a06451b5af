"""The map in kit/README.md names every package and module, and nothing else."""

import re
from pathlib import Path

KIT = Path(__file__).parents[2] / "kit"
MAP = (KIT / "README.md").read_text()


def test_the_map_names_each_package_once() -> None:
    packages = [str(path.parent.relative_to(KIT)) for path in KIT.glob("*/__init__.py")]
    assert sorted(re.findall(r"^### `(\w+)/`", MAP, re.MULTILINE)) == sorted(packages)


def test_the_map_names_each_module_once() -> None:
    modules = [str(path.relative_to(KIT)) for path in KIT.rglob("*.py") if path.name != "__init__.py"]
    assert sorted(re.findall(r"^\| `([\w/]+\.py)` \|", MAP, re.MULTILINE)) == sorted(modules)
