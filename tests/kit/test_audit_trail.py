"""The audit trail from Docker's log files: a line is kept once, by day, across rotation, restarts and partial lines."""

import gzip
import json
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from kit.security.trail import AuditTrail, TrailSettings

DAY = "2026-11-29"
EVENT = '{"module":"security","event":"login","outcome":"denied","cause":"code_wrong"}\n'
REQUEST = '{"logger":"http.log.access.log0","request":{"client_ip":"203.0.113.9"},"status":401}\n'
NOISE = (
    '{"module":"access","event":"a line about \\"module\\":\\"security\\""}\n',
    "no JSON at all: http.log.access\n",
)
nanoseconds = count()


@pytest.fixture
def settings(tmp_path: Path) -> TrailSettings:
    for name in ("containers/c1", "containers/c2", "kept"):
        (tmp_path / name).mkdir(parents=True)
    return TrailSettings(containers=tmp_path / "containers", kept=tmp_path / "kept")


def written(log: str, day: str = DAY) -> str:
    """A line as Docker writes it; no two have the same time."""
    return json.dumps({"log": log, "stream": "stdout", "time": f"{day}T02:31:58.{next(nanoseconds):09}Z"}) + "\n"


def own_log(settings: TrailSettings, container: str = "c1") -> Path:
    return settings.containers / container / f"{container}-json.log"


def kept(settings: TrailSettings, name: str) -> str:
    path = settings.kept / f"{name}-{DAY}.jsonl"
    return path.read_text() if path.exists() else ""


def test_security_events_and_the_gateways_requests_are_kept_and_nothing_else(settings: TrailSettings) -> None:
    own_log(settings, "c1").write_text("".join(written(line) for line in (EVENT, *NOISE)))
    own_log(settings, "c2").write_text("{}\n" + written(REQUEST))
    AuditTrail(settings).collect()
    assert (kept(settings, "security"), kept(settings, "gateway")) == (EVENT, REQUEST)


def test_a_line_is_kept_once_and_complete_also_across_a_restart(settings: TrailSettings) -> None:
    log, line = own_log(settings), written(EVENT)
    log.write_text(line + line[:40])
    trail = AuditTrail(settings)
    trail.collect()
    trail.collect()
    assert kept(settings, "security") == EVENT
    with log.open("a") as file:
        file.write(line[40:] + line)
    AuditTrail(settings).collect()
    assert kept(settings, "security") == EVENT * 3


def test_a_rotated_file_is_read_to_its_end(settings: TrailSettings) -> None:
    log, trail = own_log(settings), AuditTrail(settings)
    log.write_text(written(EVENT))
    trail.collect()
    with log.open("a") as file:
        file.write(written(EVENT))
    log.rename(f"{log}.1")
    log.write_text(written(EVENT))
    trail.collect()
    assert kept(settings, "security") == EVENT * 3


def test_another_file_in_the_place_of_a_removed_one_is_read_from_its_beginning(settings: TrailSettings) -> None:
    """It may have the same name, inode and size."""
    log, trail = own_log(settings), AuditTrail(settings)
    log.write_text(written(EVENT) * 2)
    trail.collect()
    log.write_text(written(EVENT) * 2)
    trail.collect()
    assert kept(settings, "security") == EVENT * 4


def test_past_days_are_compressed_and_removed_after_the_retention_time(settings: TrailSettings) -> None:
    trail = AuditTrail(settings)
    for _ in range(2):  # a late line, the second time
        own_log(settings).write_text(written(EVENT) + written(EVENT, "2024-01-01"))
        trail.collect()
        trail.tidy(date(2026, 11, 30))
        own_log(settings).unlink()
        trail.collect()
    assert [path.name for path in settings.kept.glob("security*")] == [f"security-{DAY}.jsonl.gz"]
    assert gzip.decompress((settings.kept / f"security-{DAY}.jsonl.gz").read_bytes()).decode() == EVENT * 2


def test_a_retention_time_below_the_legal_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="180"):
        TrailSettings(days=179)
