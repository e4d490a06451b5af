"""Stand-ins for the images of others, under the same names."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from deploy.containers.engine import Engine
from deploy.local.servers import mongod
from deploy.local.stack import KAFKA_LIBS, ROOT

HERE = Path(__file__).parent
BASE = "stand-in/debian"
SUITE = "bookworm"
LEFT_OUT = {"grafana"}
"""Containers that don't start: there is no stand-in for their image."""
_IMAGE = re.compile(r"\$\{REGISTRY:-(?P<registry>[^}]+)\}/(?P<name>[^:]+)(?P<tag>:\S+)")
_MONGOSH = "mongosh@2.5.10"
_SOURCES = "etc/apt/sources.list.d/debian.sources"
_OF_THE_MACHINE = {
    _SOURCES: _SOURCES,
    "etc/pip.conf": "etc/pip.conf",
    "etc/ssl/certs/ca-certificates.crt": "usr/local/share/ca-certificates/machine.crt",
}
"""Files that say how this machine reaches its package registries, and where they go in a stand-in."""


def of_others() -> dict[str, str]:
    """Return the images that docker-compose.yml and the Dockerfile name, each with the folder of its stand-in."""
    containers = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    named = {each["image"] for name, each in containers.items() if name not in LEFT_OUT}
    dockerfile = (ROOT / "deploy/Dockerfile").read_text().replace("${REGISTRY}", "${REGISTRY:-docker.io}")
    found = [match for text in [*sorted(named), dockerfile] for match in _IMAGE.finditer(text)]
    return {f"{each['registry']}/{each['name']}{each['tag']}": each["name"].rpartition("/")[2] for each in found}


@dataclass(frozen=True)
class StandIns:
    """Builds the stand-ins."""

    engine: Engine

    async def base(self) -> None:
        """Make the Debian of all stand-ins, unless it is there: with the mirrors and certificates of this machine."""
        if await self.engine.docker("images", "--quiet", BASE):
            return
        root, packed = self.engine.folder / "debian", self.engine.folder / "debian.tar"
        shutil.rmtree(root, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root), _mirror()]
        await self.engine.client(command)
        for name, place in _OF_THE_MACHINE.items():
            if (source := Path("/") / name).exists():
                shutil.copy(source, root / place)
        if (root / _SOURCES).exists():
            (root / "etc/apt/sources.list").unlink()
        await self.engine.client(["chroot", str(root), "update-ca-certificates"])
        await self.engine.client(["tar", "-C", str(root), "-cf", str(packed), "."])
        await self.engine.docker("import", str(packed), BASE)
        shutil.rmtree(root)
        packed.unlink()

    async def build(self) -> None:
        """Build all others, each in a folder with its Dockerfile and the programs of the local stack that it needs."""
        contexts = self.engine.folder / "stand-ins"
        shutil.rmtree(contexts, ignore_errors=True)
        shutil.copytree(HERE / "images", contexts)
        programs = ROOT / ".venv/bin"
        shutil.copytree(KAFKA_LIBS, contexts / "kafka/libs")
        shutil.copy(mongod(), contexts / "mongo")
        shutil.copytree(self._mongosh(), contexts / "mongo/mongosh", symlinks=True)
        shutil.copy(str(shutil.which("node")), contexts / "mongo")
        shutil.copy(programs / "weed", contexts / "seaweedfs")
        shutil.copy(programs / "caddy", contexts / "caddy")
        services = {
            folder: {"image": image, "build": {"context": str(contexts / folder), "network": "host"}}
            for image, folder in of_others().items()
        }
        file = self.engine.folder / "stand-ins.json"
        file.write_text(json.dumps({"services": services}))
        await self.engine.compose("--progress", "plain", "--file", str(file), "build")

    def _mongosh(self) -> Path:
        """MongoDB's shell, from npm."""
        place = self.engine.folder / _MONGOSH
        if not (place / "node_modules/.package-lock.json").exists():
            quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(["npm", "install", *quiet, "--prefix", str(place), _MONGOSH], check=True)  # noqa: S603, S607
        return place


def _mirror() -> str:
    """The mirror of Debian's packages that this machine uses."""
    listed = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Identifier: Packages"]
    for line in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines():  # noqa: S603
        uri, _, release = line.partition(" ")
        if release == SUITE:
            return uri
    raise RuntimeError(f"this machine's apt has no source of Debian {SUITE}")
