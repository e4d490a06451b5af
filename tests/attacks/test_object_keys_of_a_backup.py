"""Object keys from a bucket or a backup's list can't make the backup write or read outside its folder."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.backup.files import ChecksumMismatch, Objects

WRITTEN = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.mark.parametrize("key", ["/etc/x", "../x", "a/../../x", "a//x", "./x", "a/.", "", "a\nb", "a\x00b"])
def test_a_key_that_leaves_the_folder_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "x").write_text("secret")
    objects = Objects(tmp_path / "root", "attachments")

    def keep(name: str) -> None:
        objects.keep(name, b"x", WRITTEN)

    for call in (objects.has, objects.drop, keep, lambda name: objects.get(name, "")):
        with pytest.raises(ChecksumMismatch):
            call(key)
    assert objects.all() == []


def test_our_own_keys_are_accepted(tmp_path: Path) -> None:
    objects, key = Objects(tmp_path, "attachments"), "scans/ab-01/original.jpg"
    objects.keep(key, b"x", WRITTEN)
    assert objects.get(key, objects.digests()[key]) == b"x"
