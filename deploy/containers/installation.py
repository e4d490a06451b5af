"""An installation in a folder, as docs/deployment.md describes it: .env, secrets, accounts at the SMS carriers."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrage import x25519

from deploy.access.authority import SECRET, Authority
from deploy.access.principals import ADMIN
from deploy.local.environment import SMS_SDK_APP_ID, SMS_SIGN_NAME
from deploy.local.sms_carrier.templates import ALIYUN_IDS, TENCENT_IDS
from deploy.local.stack import ROOT

SITE = "localhost"
START_INTERVAL = " --start-interval=2s"
"""An option of our Dockerfile that Debian's Docker (20.10) doesn't know."""
PROJECT = "practitioner-portal"
CARRIER = {"endpoint": "sms-carrier:8000", "protocol": "http", "sign_name": SMS_SIGN_NAME}


@dataclass(frozen=True)
class Installation:
    """`folder` has what an operator's machine has; `inbox` is the port of the simulated carriers' inbox.

    `logs` is where Docker keeps its containers.
    """

    folder: Path
    inbox: int
    logs: Path

    @classmethod
    def fresh(cls, folder: Path, logs: Path) -> "Installation":
        """Make the folder again."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        installation = cls(folder, _free_port(), logs)
        for name in ("docker-compose.yml", "deploy"):
            (folder / name).symlink_to(ROOT / name)
        command = [str(ROOT / "deploy/secrets.sh"), str(installation.secrets)]
        subprocess.run(command, check=True, env=os.environ | {"PYTHON": sys.executable}, capture_output=True)  # noqa: S603
        installation._write_settings()
        installation._open_accounts()
        installation._certify_gateway()
        return installation

    @property
    def secrets(self) -> Path:
        """The folder of secrets that docker-compose.yml mounts."""
        return self.folder / "secrets"

    @property
    def authority(self) -> Path:
        """The certificate that every server's is verified with."""
        return self.secrets / "trust/ca.crt"

    def _write_settings(self) -> None:
        """Write .env, and the Dockerfile for this engine."""
        image = self.folder / "image"
        image.mkdir()
        shutil.copy(ROOT / "deploy/Dockerfile.dockerignore", image)
        (image / "Dockerfile").write_text((ROOT / "deploy/Dockerfile").read_text().replace(START_INTERVAL, ""))
        recipients = json.dumps([str(x25519.Identity.generate().to_public())])
        settings = {"SITE": SITE, "BACKUP_RECIPIENTS": recipients, "DOCKER_LOGS": self.logs}
        settings |= {"SMS_INBOX": self.inbox, "REPOSITORY": ROOT, "DOCKERFILE": image / "Dockerfile"}
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _open_accounts(self) -> None:
        """Fill in the accounts with the carriers, for both sides."""
        tencent = {"secret_id": "id", "secret_key": "key", "sdk_app_id": SMS_SDK_APP_ID}
        aliyun = {"access_key_id": "id", "access_key_secret": "key"}
        self._fill_in("notify/tencent", CARRIER | tencent | {"templates": TENCENT_IDS})
        self._fill_in("notify/aliyun", CARRIER | aliyun | {"templates": ALIYUN_IDS})
        accounts = {"TENCENT": tencent, "ALIYUN": aliyun}
        lines = [f"SMS_OPERATOR_{name}='{json.dumps(each | _SIGNED)}'\n" for name, each in accounts.items()]
        (self.folder / "sms-carrier.env").write_text("".join(lines))

    def _fill_in(self, name: str, content: dict[str, Any]) -> None:
        path = self.secrets / name
        path.write_text(json.dumps(json.loads(path.read_text()) | content))

    def _certify_gateway(self) -> None:
        """Give the gateway a certificate of its own, as docs/deployment.md says."""
        authority, own = Authority.in_folder(self.secrets / "authority"), self.folder / "gateway"
        authority.issue("gateway", [SITE], own, files=SECRET)
        place = self.secrets / "gateway/portal.pem"
        shutil.copy(own / "tls.pem", place)
        place.chmod(0o644)

    def admin_password(self) -> str:
        """The administrator's password in every server."""
        known: dict[str, str] = json.loads((self.secrets / "access/passwords").read_text())
        return known[ADMIN]


_SIGNED = {"sign_name": SMS_SIGN_NAME}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
