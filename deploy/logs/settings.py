"""Settings of the log shipper and the log receiver."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from kit.settings import InternalSettings, ServerSettings, SettingsWithTls

Address = Annotated[str, StringConstraints(pattern=r"^[\w.-]+:\d+$")]


class Shipping(ServerSettings):
    """`receiver`: host:port; its certificate is for that host. `site` is the sender in each message.

    `folder`, `pattern`: the containers' logs, in Docker's or Kubernetes' `format`. `state`: where positions are stored.
    """

    receiver: Address
    site: str
    format: Literal["docker", "kubernetes"] = "docker"
    folder: Path = Path("/containers")
    pattern: str = "*/*-json.log*"
    state: Path = Path("/positions")


class Receiving(BaseModel):
    """Where the receiver listens, the folder that it writes to, and how many days it keeps."""

    port: int = 6514
    folder: Path = Path("/logs")
    days: int = Field(default=30, ge=1)


class _Settings(SettingsWithTls):
    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    internal: InternalSettings = InternalSettings()
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _closed(self) -> Self:
        if not (self.tls.ca and self.tls.certificate):
            raise ValueError("TLS__CA, TLS__CERTIFICATE and TLS__KEY are required")
        return self


class ShipSettings(_Settings):
    """`python -m deploy.logs ship`."""

    logs: Shipping


class ReceiveSettings(_Settings):
    """`python -m deploy.logs receive`."""

    logs: Receiving = Receiving()

    def variables(self) -> dict[str, str]:
        """What `receiver.conf` reads."""
        return {
            "LOGS_CA": str(self.tls.ca), "LOGS_CERTIFICATE": str(self.tls.certificate), "LOGS_KEY": str(self.tls.key),
            "LOGS_PORT": str(self.logs.port), "LOGS_FOLDER": str(self.logs.folder),
        }  # fmt: skip
