"""JavaScript programs with the packages of their lock file."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.stack import ROOT

INSTALLED_WITHIN = 180

needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="this machine has no Node.js with npm")


def with_packages(folder: Path) -> Path:
    """A copy of the folder below .local with its packages; `npm ci` runs once for each lock file."""
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:12]
    copy = ROOT / ".local" / "node" / f"{folder.name}-{lock}"
    copy.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy(file, copy)
    if not (copy / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=copy, check=True, timeout=INSTALLED_WITHIN)
    return copy
