"""Digests of images: `python -m deploy.digests [--write FILE]… [REFERENCE]…` asks the registries for them.

A tag may be moved to another image, a digest can't. For each reference (`registry.example.cn/redis:7.2.16`) a line with
its digest is printed; `--write` adds digests to the images of a compose file, or renews them.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import httpx2
import typer

KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Manifests, those for several kinds of machine first: the digest is the one that a container engine compares."""
HUB, HUB_API = "docker.io", "registry-1.docker.io"
IMAGE = re.compile(r"^( *image: )(\S+?)(?:@sha256:[0-9a-f]{64})?( *(?:#.*)?)$", re.MULTILINE)
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class NoDigest(Exception):
    """The registry has no such image, or refuses to show it."""


@dataclass(frozen=True)
class Reference:
    """An image: the registry's host, the repository in it, and the tag."""

    host: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[host/]repository:tag`, as container engines do."""
        name, colon, tag = text.partition("@")[0].rpartition(":")
        if not colon or "/" in tag:
            raise NoDigest(f"{text} has no tag")
        first, slash, rest = name.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            host, repository = first, rest
        else:
            host, repository = HUB, name
        official = host == HUB and "/" not in repository
        return cls(host, f"library/{repository}" if official else repository, tag)

    @property
    def url(self) -> str:
        """The address of its manifest; without TLS only on this machine."""
        local = self.host.partition(":")[0] in ("localhost", "127.0.0.1")
        host = HUB_API if self.host == HUB else self.host
        return f"{'http' if local else 'https'}://{host}/v2/{self.repository}/manifests/{self.tag}"


def digest_of(reference: Reference, http: httpx2.Client) -> str:
    """The digest of an image. Raises `NoDigest`."""
    headers = {"Accept": ", ".join(KINDS)}
    response = http.get(reference.url, headers=headers)
    if response.status_code == 401:
        headers["Authorization"] = f"Bearer {_token(response, http)}"
        response = http.get(reference.url, headers=headers)
    if response.status_code != 200:
        raise NoDigest(f"{reference.url} answers {response.status_code}")
    found = f"sha256:{hashlib.sha256(response.content).hexdigest()}"
    if response.headers.get("Docker-Content-Digest", found) != found:
        raise NoDigest(f"{reference.url}: the manifest does not have the digest that the registry names")
    return found


def _token(refused: httpx2.Response, http: httpx2.Client) -> str:
    """A token for anonymous reading, from where the registry says."""
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers.get("WWW-Authenticate", "")))
    realm = wanted.pop("realm", "")
    if not realm:
        raise NoDigest(f"{refused.url} needs a password")
    answer = http.get(realm, params=wanted).raise_for_status().json()
    return str(answer.get("token") or answer["access_token"])


def filled(text: str, http: httpx2.Client) -> str:
    """The compose file with a digest at each image that comes from a registry."""

    def fill(line: re.Match[str]) -> str:
        before, image, after = line.groups()
        return f"{before}{image}@{digest_of(Reference.parse(_expanded(image)), http)}{after}"

    return IMAGE.sub(lambda line: line[0] if _built_here(line[2]) else fill(line), text)


def _expanded(image: str) -> str:
    """The image with variables as in compose: from the environment, or their defaults."""
    return VARIABLE.sub(lambda variable: os.environ.get(variable[1]) or variable[2], image)


def _built_here(image: str) -> bool:
    return image.startswith("practitioner-portal:")


@app.command()
def main(
    references: Annotated[list[str] | None, typer.Argument()] = None,
    write: Annotated[list[Path] | None, typer.Option(help="a compose file")] = None,
) -> None:
    """Print the digests of images, or write them into compose files."""
    with httpx2.Client(timeout=30, follow_redirects=True) as http:
        try:
            for each in references or []:
                typer.echo(f"{each.partition('@')[0]}@{digest_of(Reference.parse(each), http)}")
            for path in write or []:
                path.write_text(filled(path.read_text(), http))
        except (NoDigest, httpx2.HTTPError) as error:
            typer.echo(str(error) or type(error).__name__, err=True)
            raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
