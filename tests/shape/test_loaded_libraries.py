"""A process keeps in memory what it imports: large libraries are imported only where they are used."""

import subprocess
import sys

import pytest

LARGE = {"PIL", "aiokafka", "cv2", "fastapi", "motor", "numpy", "pymongo", "redis", "requests", "rich", "typst"}
NEEDS = {
    "kit.http.app": {"fastapi"},
    "services.portal.wiring.api": {"aiokafka", "fastapi", "redis"},
    "services.identity.wiring.worker": {"PIL", "aiokafka", "motor", "pymongo", "redis"},
    "services.records.wiring.api": {"fastapi", "motor", "pymongo", "redis"},
    "services.notify.wiring.api": {"fastapi", "motor", "pymongo", "redis"},
    "services.notify.wiring.worker": {"aiokafka", "motor", "pymongo", "requests"},
    "services.subscriptions.wiring.worker": {"aiokafka", "motor", "pymongo"},
}


@pytest.mark.parametrize("module", NEEDS)
def test_a_process_loads_the_large_libraries_it_needs_and_no_other(module: str) -> None:
    program = f"import sys, {module}; print(*{LARGE} & sys.modules.keys())"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert set(printed.split()) == NEEDS[module]
