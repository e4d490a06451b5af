"""The handling of known vulnerabilities in `make check`."""

from datetime import date

import pytest

from deploy.audit import Package, Vulnerability, accepted, open_in

TODAY = date(2026, 11, 29)
FOUND = [
    Package(name="urllib3", version="1.0", vulns=[Vulnerability(id="PYSEC-1", aliases=["CVE-1"], fix_versions=["1.1"])])
]
EXCEPTION = '[[exception]]\nid = "{id}"\nreason = "not used"\nuntil = {until}\n'


def test_a_vulnerability_is_named_with_the_version_that_fixes_it() -> None:
    assert open_in(FOUND, set()) == ["urllib3 1.0: PYSEC-1, fixed in 1.1"]


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_an_exception_counts_until_its_last_day(name: str) -> None:
    assert open_in(FOUND, accepted(EXCEPTION.format(id=name, until=TODAY), TODAY)) == []
    assert open_in(FOUND, accepted(EXCEPTION.format(id=name, until="2026-11-28"), TODAY)) != []


def test_an_exception_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="reason"):
        accepted('[[exception]]\nid = "CVE-1"\nuntil = 2026-12-31\n', TODAY)
