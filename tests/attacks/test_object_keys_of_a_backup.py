"""Object keys from a bucket or a backup's list can't make the backup write or read outside its folder."""

from pathlib import Path

import pytest

from deploy.backup.files import StoredObject, Unusable
from deploy.backup.storage import InFolder, InvalidName


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a//x", "./x", "a/.", "", "a\nb", "a\x00b"])
async def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("secret")
    folder = InFolder(tmp_path / "root")
    for call in (folder.get(name), folder.delete(name), folder.put(name, b"x"), folder.names(name)):
        with pytest.raises(InvalidName):
            await call
    assert not (tmp_path / "root").exists()


async def test_an_object_with_such_a_key_is_not_stored(tmp_path: Path) -> None:
    stored = StoredObject.of("attachments", "../../x", 1, b"x")
    with pytest.raises(InvalidName):
        await InFolder(tmp_path).put(stored.name, b"x")


@pytest.mark.parametrize("name", ["objects/identity/x.1.aa.age", "objects/attachments/x", "dumps/x.1.aa.age"])
def test_a_list_names_only_objects_of_its_service(name: str) -> None:
    with pytest.raises(Unusable):
        StoredObject.parse(name, "attachments")


async def test_our_own_keys_are_accepted(tmp_path: Path) -> None:
    folder, stored = InFolder(tmp_path), StoredObject.of("attachments", "scans/ab-01/original.jpg", 1, b"x")
    await folder.put(stored.name, b"x")
    assert await folder.names("objects/attachments") == [stored.name]
    assert await StoredObject.parse(stored.name, "attachments").read(folder) == b"x"
