"""Settings of notify."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, IPvAnyNetwork, SecretStr, model_validator

from kit.settings import EncryptionSettings, KeyRing, ServiceSettings
from services.notify.templates import CATALOGUE, MAX_SIGNATURE_LENGTH

MIN_SECRET_LENGTH = 32
Secrets = SecretStr | tuple[SecretStr, ...]
ProviderName = Literal["tencent", "aliyun"]


def _long(secrets: Secrets) -> Secrets:
    if not _all(secrets) or any(len(each) < MIN_SECRET_LENGTH for each in _all(secrets)):
        raise ValueError(f"one secret or a list of them, each of at least {MIN_SECRET_LENGTH} characters")
    return secrets


def _all(secrets: Secrets) -> tuple[SecretStr, ...]:
    return secrets if isinstance(secrets, tuple) else (secrets,)


def _complete(templates: dict[str, str]) -> dict[str, str]:
    missing = CATALOGUE.keys() - templates.keys()
    if missing:
        raise ValueError(f"no template id for {', '.join(sorted(missing))}")
    return templates


class CarrierSettings(BaseModel):
    """An account at a carrier; the endpoint without scheme.

    `templates`: purpose → the id under which the carrier approved its text. `receipts_token`: the secret that receipts
    carry; while it is being replaced two or more, the current one first. `receipts_from`: the networks that receipts
    come from; empty: any.
    """

    protocol: Literal["https", "http"] = "https"
    sign_name: str = Field(min_length=2, max_length=MAX_SIGNATURE_LENGTH)
    templates: Annotated[dict[str, str], AfterValidator(_complete)]
    receipts_token: Annotated[Secrets, AfterValidator(_long)] = Field(repr=False)
    receipts_from: tuple[IPvAnyNetwork, ...] = ()
    connect_seconds: float = 1.0
    answer_seconds: float = 3.0
    at_once: int = 32

    @property
    def receipts_tokens(self) -> tuple[SecretStr, ...]:
        """The valid secrets, the current one first."""
        return _all(self.receipts_token)


class TencentSettings(CarrierSettings):
    """An account at Tencent Cloud SMS."""

    endpoint: str = "sms.tencentcloudapi.com"
    region: str = "ap-shanghai"
    secret_id: SecretStr
    secret_key: SecretStr
    sdk_app_id: str


class AliyunSettings(CarrierSettings):
    """An account at Aliyun SMS."""

    endpoint: str = "dysmsapi.aliyuncs.com"
    access_key_id: SecretStr
    access_key_secret: SecretStr


class BreakerSettings(BaseModel):
    """When a carrier is not used: while a call has no answer for `slow_seconds`, `open_seconds` after a failure."""

    open_seconds: float = 5.0
    slow_seconds: float = 1.0


class SendingSettings(BaseModel):
    """How messages are sent. `lease_seconds`: longer than any attempt; after it the sending process has crashed."""

    at_once: int = 64
    sweep_seconds: float = 1.0
    grace_seconds: float = 3.0
    lease_seconds: float = 15.0
    overdue_seconds: float = 60.0


class ReceiptSettings(BaseModel):
    """A missing receipt is polled after `poll_seconds`, with growing pauses, until `give_up_seconds`.

    The encrypted phone is stored until then.
    """

    poll_seconds: float = 60.0
    give_up_seconds: float = 72 * 3600.0


class NoticeSettings(BaseModel):
    """Notices: which are sent, and how long after the event at most.

    `wait_seconds`: a notice of a refused scan or sheet is sent only if its owner has not seen the verdict by then.
    """

    certificates: bool = True
    scans: bool = True
    signatures: bool = True
    wait_seconds: float = Field(default=90.0, ge=0)
    lifetime_seconds: float = 24 * 3600.0


class Settings(ServiceSettings):
    """Settings of notify beside those of every service; `order`: the carriers, the preferred one first."""

    seal: EncryptionSettings
    bus: KeyRing
    order: tuple[ProviderName, ...] = Field(("tencent", "aliyun"), min_length=1)
    tencent: TencentSettings | None = None
    aliyun: AliyunSettings | None = None
    breaker: BreakerSettings = BreakerSettings()
    sending: SendingSettings = SendingSettings()
    receipts: ReceiptSettings = ReceiptSettings()
    notices: NoticeSettings = NoticeSettings()

    @model_validator(mode="after")
    def _accounts(self) -> Self:
        missing = [name for name in self.order if getattr(self, name) is None]
        if missing:
            raise ValueError(f"no account at {', '.join(missing)}: configure it, or take it out of ORDER")
        return self
