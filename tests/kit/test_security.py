"""Security events: written at every log level, ids only; a foreign object gets the same answer as a missing one."""

import json
import subprocess
import sys

import pytest

from kit.core.errors import AppError, Hidden, NotFound, NotYours

PROGRAM = """
from kit.observability import log
from kit.security import security_events as security

log.configure("records", "api", "CRITICAL")
security.arrived({
    "type": "http", "method": "GET", "client": ("10.0.0.1", 1), "headers": [(b"user-agent", b"planted")],
    "path_params": {"record_id": "3f0e0000-0000-4000-8000-000000000001", "kind": "planted"},
})
log.get("other").error("not written")
security.record("access_denied", "denied", "forbidden", status=403)
"""


def test_a_foreign_object_is_answered_like_a_missing_one() -> None:
    for denied in (NotYours, Hidden):
        assert denied().marshal() == NotFound().marshal()
        assert denied("record_not_found", "没有").marshal() == NotFound("record_not_found", "没有").marshal()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (NotFound(), ""), (NotYours(), "foreign_object"), (Hidden(), "forbidden"), (AppError(403, "odd", "不"), "odd"),
        (AppError(401, "code_wrong", "不"), "code_wrong"), (AppError(409, "known", "已"), ""),
    ],
)  # fmt: skip
def test_an_error_has_the_cause_of_a_denial(error: AppError, cause: str) -> None:
    assert error.cause == cause


def test_an_event_is_written_whatever_the_log_level_is() -> None:
    written = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    [line] = written.splitlines()
    event = json.loads(line)
    assert (event["module"], event["event"], event["service"]) == ("security", "access_denied", "records")
    assert (event["caller"], event["address"], event["cause"]) == ("anonymous", "10.0.0.1", "forbidden")
    assert event["target"] == {"record_id": "3f0e0000-0000-4000-8000-000000000001"}
    assert "planted" not in line
