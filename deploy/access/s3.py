"""S3: the identities of SeaweedFS (`-s3.config`), and the keys of its inner ports (`security.toml`)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.access.principals import ADMIN, WITH_BUCKET, principals

NAME = "s3"
TOKENS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
PARTS = ("master", "volume", "filer", "s3", "admin", "worker", "client")
WITH_HTTP = ("master", "volume", "filer", "admin")
Keys = tuple[str, str]
"""Access key and secret key."""


def identities(keys: Mapping[str, Keys]) -> str:
    """The text of the file: each principal may act on its own bucket only; `admin`, if it has keys, on all."""
    found = {
        name: [f"{action}:{grant.bucket}" for grant in principal.buckets for action in grant.actions]
        for name, principal in principals().items()
        if principal.buckets
    }
    if ADMIN in keys:
        found[ADMIN] = ["Admin"]
    return json.dumps(
        {"identities": [_identity(name, actions, keys[name]) for name, actions in found.items()]}, indent=1
    )


def _identity(name: str, actions: list[str], keys: Keys) -> dict[str, object]:
    return {"name": name, "actions": actions, "credentials": [{"accessKey": keys[0], "secretKey": keys[1]}]}


def buckets() -> list[str]:
    """The buckets that `admin` creates."""
    return list(WITH_BUCKET)


def security(keys: Sequence[str], certificate: Path, key: Path, ca: Path) -> str:
    """The text of `security.toml`, which closes SeaweedFS's inner ports: only S3 checks the identities' keys.

    Its parts prove themselves to each other by the certificate of `s3`, and by tokens signed with these four keys.
    """
    tokens = [(table, f'key = "{each}"') for table, each in zip(TOKENS, keys, strict=True)]
    pair, authority = f'cert = "{certificate}"\nkey = "{key}"', f'ca = "{ca}"'
    grpc = [(f"grpc.{part}", f'{pair}\nallowed_commonNames = "{NAME}"') for part in PARTS]
    https = [(f"https.{part}", f"{pair}\n{authority}") for part in WITH_HTTP]
    client = [("https.client", f"enabled = true\n{pair}\n{authority}")]
    return "\n".join(f"[{table}]\n{text}\n" for table, text in [*tokens, ("grpc", authority), *grpc, *https, *client])
