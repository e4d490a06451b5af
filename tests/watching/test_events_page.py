"""docs/security/events.md lists every security event and every cause."""

import re
from typing import get_args

from contracts.security_events import Event
from deploy.local.stack import ROOT
from kit.security.bursts import GUESSES, LogLineLimit, SprayDetector
from kit.security.security_events import CAUSES, Outcome
from services.identity.throttle import LIMITS

PAGE = (ROOT / "docs" / "security" / "events.md").read_text()
TABLE = PAGE.split("## Events")[1].split("## Fields")[0]


def test_every_event_has_its_row() -> None:
    named = [cell for row in re.findall(r"^\| (`.+?) \|", TABLE, re.MULTILINE) for cell in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(get_args(Event))


def test_every_event_is_recorded_somewhere() -> None:
    code = "".join(path.read_text() for folder in ("kit", "services") for path in (ROOT / folder).rglob("*.py"))
    recorded = set(re.findall(r'security_events\.(?:record|attempt)\(\s*"(\w+)"|(?<![\w.])record\("(\w+)"', code))
    named = {"".join(either) for either in recorded}
    assert named == {*get_args(Event)} - {"access_denied"}  # recorded for a denied request when no attempt was begun


def test_causes_outcomes_and_limits_are_explained() -> None:
    for name in (*CAUSES, *GUESSES, *get_args(Outcome), *(f"limit_{limit}" for limit in LIMITS)):
        assert re.search(rf"\b{name}\b", PAGE), name
    for number in (LogLineLimit.OF_ALL, LogLineLimit.OF_NETWORK, SprayDetector.SUBJECTS):
        assert f"{number:,}" in PAGE
