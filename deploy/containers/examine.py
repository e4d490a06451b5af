"""Our image, built twice and compared, and searched for known vulnerabilities."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.audit import audited, open_in
from deploy.containers.compose import Composed
from deploy.containers.engine import Engine
from deploy.containers.installation import PROJECT

VERSIONS = ("examined-1", "examined-2")
_SECURITY = "Debian-Security"


@dataclass(frozen=True)
class Comparison:
    """Two builds: how many layers have the same digest, and the files that differ, apart from their times."""

    same: int
    layers: int
    files: int
    different: list[str]


async def build_twice(composed: Composed) -> Comparison:
    """Build our image twice from nothing and compare the results."""
    digests, contents = [], []
    for version in VERSIONS:
        composed.use(version)
        await composed.build("--no-cache")
        image = f"{PROJECT}:{version}"
        found = await composed.engine.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
        digests.append(json.loads(found))
        contents.append(await _files(composed.engine, image))
    one, other = contents
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    same = sum(first == second for first, second in zip(*digests, strict=True))
    return Comparison(same, len(digests[0]), len(one), different)


async def _files(engine: Engine, image: str) -> dict[str, str]:
    """Return each file of an image by name: its kind, mode, owner and content."""
    container = (await engine.docker("create", image)).strip()
    with TemporaryDirectory(dir=engine.folder) as folder:
        packed = Path(folder) / "image.tar"
        await engine.docker("export", "--output", str(packed), container)
        await engine.docker("rm", container)
        return dict(_entries(packed))


def _entries(packed: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(packed) as archive:
        for entry in archive:
            reader = archive.extractfile(entry) if entry.isreg() else None
            content = sha256(reader.read()).hexdigest() if reader else entry.linkname
            yield entry.name, f"{entry.type!r} {entry.mode:o} {entry.uid}:{entry.gid} {content}"


async def vulnerabilities(engine: Engine, image: str) -> tuple[int, list[str]]:
    """Return how many Python packages there are data about, and a line for each known vulnerability in the image.

    Of Debian's packages: those for which a security update is pending.
    """
    container = (await engine.docker("create", image)).strip()
    with TemporaryDirectory(dir=engine.folder) as folder:
        await engine.docker("cp", f"{container}:/opt/packages/lib", folder)
        await engine.docker("rm", container)
        packages = audited("--path", _site_packages(Path(folder)))
    upgrade = ["--entrypoint", "sh", image, "-c", "apt-get update -qq && apt-get --simulate upgrade"]
    simulated = await engine.docker("run", "--rm", "--user", "0:0", "--network", "host", *upgrade)
    pending = [line for line in simulated.splitlines() if line.startswith("Inst") and _SECURITY in line]
    known = [package for package in packages if package.skip_reason is None]
    return len(known), [*open_in(packages, set()), *pending]


def _site_packages(folder: Path) -> str:
    (found,) = folder.glob("lib/python3.*/site-packages")
    return str(found)
