"""Settings of notify."""

from typing import Literal

from pydantic import BaseModel, SecretStr

from kit.settings import KeyRing, SealSettings, ServiceSettings


class TencentSettings(BaseModel):
    """An account at Tencent Cloud SMS; the endpoint without scheme."""

    endpoint: str = "sms.tencentcloudapi.com"
    protocol: Literal["https", "http"] = "https"
    region: str = "ap-shanghai"
    secret_id: SecretStr
    secret_key: SecretStr
    sdk_app_id: str
    sign_name: str
    login_code_template: str
    timeout_seconds: int = 5
    at_once: int = 16


class Settings(ServiceSettings):
    """What notify needs beside what every service does."""

    seal: SealSettings
    bus: KeyRing
    tencent: TencentSettings
