"""What a process imports it keeps in memory: the large libraries are only where they are used."""

import subprocess
import sys

import pytest

LARGE = {"PIL", "cv2", "minio", "motor", "numpy", "pymongo", "rich", "typst"}


@pytest.mark.parametrize("module", ["kit.http.app", "services.portal.wiring"])
def test_pages_are_served_without_a_database_driver_or_what_reads_pictures(module: str) -> None:
    program = f"import sys, {module}; print(*{LARGE} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == ""
