"""ACS3-HMAC-SHA256, the signature of an Aliyun request, checked as the real gateway does."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
CLOCK_TOLERANCE_SECONDS = 900
REQUIRED = {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}

_AUTHORIZATION = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<id>[^,]+),\s?"
    r"SignedHeaders=(?P<headers>[\w;-]+),\s?Signature=(?P<signature>[0-9a-f]{64})"
)


class Refused(Exception):
    """The request is refused; the caller gets `code` and `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def verify(key_id: str, secret: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> None:
    """Raise `Refused` unless `POST /` with these headers, query and body was signed with the secret, just now."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None or not set(found["headers"].split(";")) >= REQUIRED:
        raise Refused("IncompleteSignature", "The request signature does not conform to Aliyun standards.")
    if found["id"] != key_id:
        raise Refused("InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    _check_time(headers["x-acs-date"])
    digest = hashlib.sha256(body).hexdigest()
    request = _canonical_request(found["headers"].split(";"), headers, query, digest)
    text = f"{ALGORITHM}\n{hashlib.sha256(request).hexdigest()}"
    expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if headers["x-acs-content-sha256"] != digest or not hmac.compare_digest(expected, found["signature"]):
        raise Refused("SignatureDoesNotMatch", "Specified signature does not match our calculation.")


def _check_time(value: str) -> None:
    try:
        at = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused("InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from error
    if abs((datetime.now(UTC) - at).total_seconds()) > CLOCK_TOLERANCE_SECONDS:
        raise Refused("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _canonical_request(signed: list[str], headers: Mapping[str, str], query: Mapping[str, str], digest: str) -> bytes:
    pairs = "&".join(f"{_quoted(name)}={_quoted(query[name])}" for name in sorted(query))
    lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed)
    return "\n".join(["POST", "/", pairs, lines, ";".join(signed), digest]).encode()


def _quoted(text: str) -> str:
    return quote(text, safe="~")
