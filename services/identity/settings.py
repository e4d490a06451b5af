"""Settings of identity."""

from pydantic import BaseModel, Field

from kit.security.ended_sessions import TOKEN_SECONDS
from kit.settings import BlobSettings, EncryptionSettings, Key, KeyRing, ServiceSettings
from services.identity.login.domain import Purpose


class SigningSettings(BaseModel):
    """Private Ed25519 keys as JWKs with `kid`; the first signs, the public parts of all are published."""

    keys: list[dict[str, str]] = Field(repr=False, min_length=1)
    access_seconds: int = Field(default=TOKEN_SECONDS, le=TOKEN_SECONDS)


class AuditSettings(BaseModel):
    """Private Ed25519 keys as JWKs with `kid`, for nothing but heads of the audit trail; the first signs.

    A head is signed after `head_seconds`, and as soon as `head_entries` follow the last one. With every
    `verify_heads`-th the whole trail is verified.
    """

    keys: list[dict[str, str]] = Field(repr=False, min_length=1)
    head_seconds: int = Field(default=3600, ge=1, le=3600)
    head_entries: int = Field(default=10_000, ge=1)
    verify_heads: int = Field(default=24, ge=1)


class CodeSettings(BaseModel):
    """SMS codes. Log-in codes are valid for 24 hours (guide §1), others for `short_seconds`, as their text states."""

    hmac_key: Key = Field(repr=False)
    lifetime_seconds: int = Field(default=24 * 3600, ge=60, le=24 * 3600)
    short_seconds: int = Field(default=600, ge=60, le=600)
    tries: int = Field(default=5, ge=1, le=5)
    resend_seconds: int = 60
    deliver_within_seconds: int = 300

    def lifetime_of(self, purpose: Purpose) -> int:
        """How long a code is valid, in seconds."""
        return self.lifetime_seconds if purpose == "login" else self.short_seconds


class CaptchaSettings(BaseModel):
    """How long a captcha can be answered."""

    lifetime_seconds: int = 300


class SessionSettings(BaseModel):
    """The longest duration of a session, its idle timeout, and how long a device is known after a log-in."""

    practitioner_seconds: int = 12 * 3600
    practitioner_idle_seconds: int = 2 * 3600
    staff_seconds: int = 10 * 3600
    staff_idle_seconds: int = 3600
    device_days: int = Field(default=180, ge=1)


class LimitSettings(BaseModel):
    """Rate limits. Codes per person and phone follow the carriers' limits (1 a minute, 5 an hour, 10 a day).

    An address is an IPv4 address or an IPv6 /64; an office of two hundred people may share one. A network is an IPv4
    /24 or an IPv6 /48. More than `wrong_codes_in_city` an hour lower each address's limit from
    `wrong_codes_per_address` to `wrong_codes_in_alarm`. `hashings_per_network`: password hashes a minute.
    `wrong_secrets_per_address`: of one API client, an hour. `not_enrolled_per_hour`: for one document number from one
    network. `wrong_codes_in_a_row`: of one person; each multiple is a security event, and the wait for another code
    doubles. `lookups_…`: document numbers, per member of staff and per API client; `lookups_by_client_per_hour`: API
    clients with their own limit. `rebindings_per_clerk_per_day`: any more need a second clerk.
    """

    per_address_per_minute: int = 60
    codes_per_minute: int = 1
    codes_per_hour: int = 5
    codes_per_day: int = 10
    phone_codes_per_clerk_per_hour: int = 60
    codes_in_city_per_minute: int = 6_000
    codes_in_city_per_day: int = 400_000
    not_enrolled_per_hour: int = 20
    wrong_codes_per_address: int = 100
    wrong_codes_in_alarm: int = 3
    wrong_codes_in_city: int = 1_000
    wrong_codes_in_a_row: int = Field(default=100, ge=5, le=100)
    hashings_per_network: int = 120
    wrong_secrets_per_address: int = 60
    rebindings_per_clerk_per_day: int = 20
    lookups_per_clerk_per_hour: int = 1_000
    lookups_per_clerk_per_day: int = 3_000
    lookups_per_client_per_hour: int = 20_000
    lookups_by_client_per_hour: dict[str, int] = {"records": 1_000_000}


class ErasureSettings(BaseModel):
    """How long an approved erasure can be stopped, and how many are carried out a day at most."""

    delay_seconds: int = Field(default=72 * 3600, ge=0)
    per_day: int = Field(default=20, ge=1)


class RebindingSettings(BaseModel):
    """How long after a card was read a rebinding needs no second clerk, and how long one waits for a second clerk.

    At most a day: the pending phone is encrypted with a bus key, which may be retired after that.
    """

    card_seconds: int = Field(default=3600, ge=60, le=24 * 3600)
    waits_seconds: int = Field(default=24 * 3600, ge=60, le=24 * 3600)


class ApprovalSettings(BaseModel):
    """How long a request can be approved by a second admin."""

    waits_seconds: int = Field(default=24 * 3600, ge=1, le=7 * 24 * 3600)


class PasskeySettings(BaseModel):
    """The address that people type, which passkeys are bound to, and how long a log-in or registration may take.

    `site`: as compose's SITE: `portal.example.cn`; `http://` only for localhost, or where TLS ends before the gateway.
    """

    site: str = Field(pattern=r"^(https?://)?[a-z0-9.-]+(:\d{1,5})?$")
    lifetime_seconds: int = Field(default=300, ge=1, le=600)


class Settings(ServiceSettings):
    """Settings of identity, in addition to those of every service."""

    BROWSERS = ServiceSettings.BROWSERS | {"passkeys__site"}

    signing: SigningSettings
    audit: AuditSettings
    seal: EncryptionSettings
    bus: KeyRing
    blobs: BlobSettings
    codes: CodeSettings
    captchas: CaptchaSettings = CaptchaSettings()
    sessions: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
    rebinding: RebindingSettings = RebindingSettings()
    passkeys: PasskeySettings
    approvals: ApprovalSettings = ApprovalSettings()
    own_clients: tuple[str, ...] = ("records",)
    """API clients that are services of this system: their look-ups are not accesses to a dossier."""
    erasures: ErasureSettings = ErasureSettings()
