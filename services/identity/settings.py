"""Settings of identity."""

from pydantic import BaseModel, Field

from kit.settings import Key, KeyRing, SealSettings, ServiceSettings


class SigningSettings(BaseModel):
    """Private Ed25519 keys as JWKs with `kid`; the first signs, all are published."""

    keys: list[dict[str, str]] = Field(repr=False, min_length=1)
    access_seconds: int = Field(default=300, le=300)


class CodeSettings(BaseModel):
    """The SMS code (guide §1: valid for 24 hours)."""

    hmac_key: Key = Field(repr=False)
    lifetime_seconds: int = Field(default=24 * 3600, ge=60, le=24 * 3600)
    tries: int = Field(default=5, ge=1, le=5)
    resend_seconds: int = 60
    deliver_within_seconds: int = 300


class SessionSettings(BaseModel):
    """How long a session can be refreshed."""

    practitioner_seconds: int = 12 * 3600
    staff_seconds: int = 8 * 3600


class LimitSettings(BaseModel):
    """Limits; those per number follow the operators' (domain: 1 a minute, 5 an hour, 10 a day)."""

    per_address_per_minute: int = 60
    codes_per_minute: int = 1
    codes_per_hour: int = 5
    codes_per_day: int = 10
    failures_per_hour: int = 20


class Settings(ServiceSettings):
    """What identity needs beside what every service does."""

    signing: SigningSettings
    seal: SealSettings
    bus: KeyRing
    codes: CodeSettings
    sessions: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
