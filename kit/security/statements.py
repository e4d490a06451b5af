"""Signed statements: JSON, signed with Ed25519 as a compact JWS (RFC 7515); the public key is enough to check them."""

import json
from collections.abc import Mapping, Sequence

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization, OKPKey

ALGORITHM = "Ed25519"


class NotSigned(Exception):
    """The statement was not signed with one of the keys, or is of another type."""


class StatementSigner:
    """Signs with the first key; the others were used before, and their statements stay valid."""

    def __init__(self, keys: Sequence[Mapping[str, str]], media_type: str) -> None:
        self._keys = [OKPKey.import_key(dict(key)) for key in keys]
        self._type = media_type

    def sign(self, statement: Mapping[str, object]) -> str:
        """The statement as a compact JWS."""
        header = {"alg": ALGORITHM, "kid": self._keys[0].kid, "typ": self._type}
        payload = json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode()
        return jws.serialize_compact(header, payload, self._keys[0], algorithms=[ALGORITHM])

    def public_keys(self) -> KeySetSerialization:
        """The JWKS document (RFC 7517) with which the statements are checked."""
        return {"keys": [key.as_dict(private=False) | {"use": "sig", "alg": ALGORITHM} for key in self._keys]}


class StatementReader:
    """Checks signed statements of one type."""

    def __init__(self, keys: KeySetSerialization, media_type: str) -> None:
        self._keys, self._type = KeySet.import_key_set(keys), media_type

    def read(self, text: str) -> dict[str, object]:
        """The statement. Raises `NotSigned`."""
        try:
            signed = jws.deserialize_compact(text, self._keys, algorithms=[ALGORITHM])
            found = json.loads(signed.payload)
        except (JoseError, ValueError) as error:
            raise NotSigned(type(error).__name__) from error
        if signed.headers().get("typ") != self._type or not isinstance(found, dict):
            raise NotSigned("a statement of another type")
        return found
