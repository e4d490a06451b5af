"""Settings of alert-sender, from the environment or from files in a secrets directory. Each channel is optional."""

import os
from typing import Literal

from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from kit.settings import InternalSettings

NONE = SecretStr("")


class WeComSettings(BaseModel):
    """A WeCom (企业微信) group robot: its webhook address, which contains its key. Off if empty."""

    url: SecretStr = NONE


class DingTalkSettings(BaseModel):
    """A DingTalk (钉钉) group robot with the security setting 加签: its webhook address and its secret (`SEC…`)."""

    url: SecretStr = NONE
    secret: SecretStr = NONE


class MailSettings(BaseModel):
    """A mail server and the recipients; off without recipients. `tls`: `starttls`, `implicit` (port 465), or `none`."""

    host: str = "127.0.0.1"
    port: int = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    username: str = ""
    password: SecretStr = NONE
    sender: str = ""
    recipients: list[str] = []


class HeartbeatSettings(BaseModel):
    """Called every minute while alerts can arrive: the dead man's switch of another party. Off if empty."""

    url: SecretStr = NONE


class AlertSettings(BaseSettings):
    """`site` names the installation in messages; `runbooks_url` comes before `docs/runbooks/….md`, if not empty."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", secrets_dir=os.environ.get("SECRETS_DIR") or None, frozen=True
    )

    site: str
    runbooks_url: str = ""
    log_level: str = "INFO"
    answer_seconds: float = 10
    internal: InternalSettings = InternalSettings()
    wecom: WeComSettings = WeComSettings()
    dingtalk: DingTalkSettings = DingTalkSettings()
    mail: MailSettings = MailSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
