"""`python -m deploy.audit`: known vulnerabilities of the locked packages, by pip-audit.

requirements/exceptions.toml lists the accepted ones, with a reason and a last day. A registry without vulnerability
data leaves packages unaudited: that is printed and does not fail.
"""

import json
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import typer
from pydantic import BaseModel, TypeAdapter

REQUIREMENTS = Path("requirements")
COMMAND = ("pip_audit", "--progress-spinner", "off", "--format", "json")
LOCK = ("--require-hashes", "--disable-pip", "-r", str(REQUIREMENTS / "run.txt"))


class Vulnerability(BaseModel):
    """One advisory, with its ids in this and in other databases."""

    id: str
    aliases: list[str] = []
    fix_versions: list[str] = []


class Package(BaseModel):
    """A locked package; `skip_reason` is set when there are no data about it."""

    name: str
    version: str = ""
    vulns: list[Vulnerability] = []
    skip_reason: str | None = None


class Accepted(BaseModel):
    """A vulnerability that is accepted until a day."""

    id: str
    reason: str
    until: date


def audited(*source: str) -> list[Package]:
    """Audit packages with pip-audit, whose options name them; empty when it reaches no registry."""
    command = [sys.executable, "-m", *COMMAND, *source]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        return TypeAdapter(list[Package]).validate_python(json.loads(run.stdout)["dependencies"])
    except (ValueError, KeyError):
        typer.echo(run.stderr.strip()[-400:], err=True)
        return []


def accepted(exceptions: str, today: date) -> set[str]:
    """Return the ids of the exceptions in this TOML that have not expired."""
    listed = tomllib.loads(exceptions).get("exception", [])
    return {each.id for each in TypeAdapter(list[Accepted]).validate_python(listed) if each.until >= today}


def open_in(packages: list[Package], ids: set[str]) -> list[str]:
    """Return a line for each vulnerability that is not accepted."""
    return [
        f"{package.name} {package.version}: {found.id}, fixed in {', '.join(found.fix_versions) or 'no version'}"
        for package in packages
        for found in package.vulns
        if not ids & {found.id, *found.aliases}
    ]


def main() -> None:
    """Audit the packages of production; exit 1 when a vulnerability is not accepted."""
    packages = audited(*LOCK)
    known = [package for package in packages if package.skip_reason is None]
    typer.echo(f"{len(known)} of {len(packages)} locked packages audited", err=True)
    exceptions = (REQUIREMENTS / "exceptions.toml").read_text()
    lines = open_in(known, accepted(exceptions, datetime.now(UTC).date()))
    sys.exit("\n".join(lines) or None)


if __name__ == "__main__":
    main()
