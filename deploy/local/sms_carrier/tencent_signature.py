"""TC3-HMAC-SHA256, the signature of a Tencent Cloud request, checked as the real gateway does."""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

ALGORITHM = "TC3-HMAC-SHA256"
SERVICE = "sms"
CLOCK_TOLERANCE_SECONDS = 300

_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<date>[\d-]+)/(?P<service>\w+)/tc3_request, "
    r"SignedHeaders=(?P<headers>[\w;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


class Refused(Exception):
    """The request is refused; the caller gets `code` and `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def verify(secret_id: str, secret_key: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raise `Refused` unless `POST /` with these headers and this body was signed with the secret, just now."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None or not {"content-type", "host"} <= set(found["headers"].split(";")):
        raise Refused("AuthFailure.InvalidAuthorization", "authorization header is invalid")
    if found["id"] != secret_id:
        raise Refused("AuthFailure.SecretIdNotFound", "The SecretId is not found")
    timestamp = _timestamp(headers)
    date = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{date}/{SERVICE}/tc3_request"
    request = _canonical_request(found["headers"].split(";"), headers, body)
    text = "\n".join([ALGORITHM, str(timestamp), scope, _sha256(request)])
    expected = hmac.new(_signing_key(secret_key, date), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, found["signature"]):
        raise Refused("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")


def _timestamp(headers: Mapping[str, str]) -> int:
    value = headers.get("x-tc-timestamp", "")
    if not value.isdecimal():
        raise Refused("MissingParameter", "The request is missing a required parameter `Timestamp`")
    if abs(time.time() - int(value)) > CLOCK_TOLERANCE_SECONDS:
        raise Refused("AuthFailure.SignatureExpire", "The provided credentials are expired")
    return int(value)


def _canonical_request(signed: list[str], headers: Mapping[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed)
    payload = b"UNSIGNED-PAYLOAD" if headers.get("x-tc-content-sha256") == "UNSIGNED-PAYLOAD" else body
    return "\n".join(["POST", "/", "", lines, ";".join(signed), _sha256(payload)]).encode()


def _signing_key(secret_key: str, date: str) -> bytes:
    key = f"TC3{secret_key}".encode()
    for part in (date, SERVICE, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
