"""The keys and passwords of one copy of the stack: generated once and stored only in its data folder."""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any, Self

import pyotp
from joserfc.jwk import OKPKey
from pydantic import BaseModel, Field

from deploy.local.stack import Stack


class EncryptionKeys(BaseModel):
    """AES-256 keys by id, the id of the key that encrypts, and the key of the blind index."""

    keys: dict[str, str]
    current: str
    index_key: str

    @classmethod
    def generate(cls) -> Self:
        return cls(keys={"k1": random_key()}, current="k1", index_key=random_key())


class StaffLogin(BaseModel):
    username: str
    password: str
    totp_secret: str

    @classmethod
    def generate(cls, username: str) -> Self:
        return cls(username=username, password=secrets.token_urlsafe(12), totp_secret=pyotp.random_base32())


class Secrets(BaseModel):
    """All secrets of a stack."""

    signing_keys: list[dict[str, Any]]
    identity_seal: EncryptionKeys
    notify_seal: EncryptionKeys
    portal_seal: EncryptionKeys = Field(default_factory=EncryptionKeys.generate)
    signature_seal: EncryptionKeys = Field(default_factory=EncryptionKeys.generate)
    subscriptions_seal: EncryptionKeys = Field(default_factory=EncryptionKeys.generate)
    records_seal: EncryptionKeys = Field(default_factory=EncryptionKeys.generate)
    attachments_seal: EncryptionKeys = Field(default_factory=EncryptionKeys.generate)
    records_client_secret: str = Field(default_factory=lambda: secrets.token_urlsafe(32))
    audit_keys: list[dict[str, Any]] = Field(default_factory=lambda: [signing_key()])
    bus: EncryptionKeys
    codes_key: str
    sms_secret_id: str
    sms_secret_key: str
    aliyun_key_id: str = Field(default_factory=lambda: "LTAI" + secrets.token_hex(10))
    aliyun_key_secret: str = Field(default_factory=lambda: secrets.token_hex(15))
    sms_receipts_tokens: dict[str, str] = Field(default_factory=lambda: _tokens("tencent", "aliyun"))
    passwords_key: str = Field(default_factory=lambda: random_key())
    wecom_key: str = Field(default_factory=lambda: secrets.token_hex(16))
    dingtalk_token: str = Field(default_factory=lambda: secrets.token_hex(32))
    dingtalk_secret: str = Field(default_factory=lambda: "SEC" + secrets.token_hex(32))
    clerk: StaffLogin
    admin: StaffLogin
    operator: StaffLogin
    client_secret: str

    @classmethod
    def generate(cls) -> Self:
        return cls(
            signing_keys=[signing_key()],
            identity_seal=EncryptionKeys.generate(),
            notify_seal=EncryptionKeys.generate(),
            bus=EncryptionKeys.generate(),
            codes_key=random_key(),
            sms_secret_id="AKID" + secrets.token_hex(16),
            sms_secret_key=secrets.token_hex(16),
            clerk=StaffLogin.generate("demo-clerk"),
            admin=StaffLogin.generate("demo-admin"),
            operator=StaffLogin.generate("demo-operator"),
            client_secret=secrets.token_urlsafe(32),
        )

    def password(self, user: str) -> str:
        """Return the password of a user of Kafka, MongoDB, Redis or S3, derived from the stack's key."""
        digest = hmac.digest(self.passwords_key.encode(), user.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:24]).decode()


def _tokens(*names: str) -> dict[str, str]:
    return {name: secrets.token_urlsafe(32) for name in names}


def random_key() -> str:
    """Return 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def signing_key() -> dict[str, Any]:
    """Return a private Ed25519 key as JWK."""
    key = OKPKey.generate_key("Ed25519", {"kid": secrets.token_hex(4), "use": "sig"}, private=True)
    return dict(key.as_dict(private=True))


def secrets_of(stack: Stack) -> Secrets:
    """Return the stack's secrets; the first call generates them."""
    if not stack.secrets.exists():
        write_private(stack.secrets, Secrets.generate().model_dump_json(indent=1))
    known = Secrets.model_validate_json(stack.secrets.read_text())
    if (
        known.model_fields_set < Secrets.model_fields.keys()
    ):  # the file of an older version lacks some: they were generated just now
        write_private(stack.secrets, known.model_dump_json(indent=1))
    return known


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, atomically."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
