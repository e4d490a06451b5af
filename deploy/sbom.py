"""`python -m deploy.sbom`: a bill of materials (CycloneDX) of the Python packages in the image, on standard output.

A package has the digests of all its distribution files, as the lock has them, and the packages that it requires. The
same lock gives the same bytes when SOURCE_DATE_EPOCH is set, the time in seconds that is written as the document's.
"""

import os
import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import typer
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

LOCK, PROJECT = Path("requirements/run.txt"), Path("pyproject.toml")
ENTRY = re.compile(r"([a-z0-9][a-z0-9._-]*)==(\S+)(?: ; ([^\\\n]+))? \\\n")
DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")
REQUIRED_BY = re.compile(r"^    #(?: via|  ) +([a-z0-9][a-z0-9._-]*)", re.MULTILINE)
MARKER = "python:marker"


@dataclass(frozen=True)
class LockedPackage:
    """`marker`: where it is installed (PEP 508), everywhere if empty; `required_by`: names of packages and product."""

    name: str
    version: str
    marker: str
    digests: list[str]
    required_by: list[str]

    def component(self) -> Component:
        """The package as the document lists it."""
        url = PackageURL("pypi", name=self.name, version=self.version)
        return Component(
            name=self.name,
            version=self.version,
            purl=url,
            bom_ref=url.to_string(),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in self.digests],
            properties=[Property(name=MARKER, value=self.marker)] if self.marker else [],
        )


def locked(lock: str) -> Iterator[LockedPackage]:
    """Yield the packages of a lock that uv wrote, with hashes and annotations."""
    for block in re.split(r"\n(?=\w)", lock):
        if entry := ENTRY.match(block):
            name, version, marker = entry.groups(default="")
            yield LockedPackage(name, version, marker, DIGEST.findall(block), REQUIRED_BY.findall(block))


def bill(lock: str, name: str, version: str, at: datetime) -> Bom:
    """Return the bill of materials of the product `name`, with the packages in `lock`."""
    product = Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=name)
    packages = [(package, package.component()) for package in locked(lock)]
    components = [component for _, component in packages]
    bom = Bom(components=components, serial_number=uuid5(NAMESPACE_OID, lock))
    bom.metadata.component, bom.metadata.timestamp = product, at
    for each in (product, *components):
        required = [component for package, component in packages if each.name in package.required_by]
        bom.register_dependency(each, required)
    return bom


def as_json(bom: Bom) -> str:
    """Return it as CycloneDX 1.6 in JSON."""
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def main() -> None:
    """Write the bill of materials of this repository's image."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    at = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()), UTC)
    typer.echo(as_json(bill(LOCK.read_text(), project["name"], project["version"], at)))


if __name__ == "__main__":
    main()
