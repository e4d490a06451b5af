"""docker-compose.yml as it runs: Docker Compose, what it started, and how to reach it from this machine."""

import json
import secrets
from dataclasses import dataclass
from typing import Any

import pyotp

from deploy.access.principals import ADMIN
from deploy.containers.engine import Engine
from deploy.containers.installation import PROJECT, SITE, Installation
from deploy.local.stack import ROOT
from deploy.local.stackfile import CLIENT_ID, CLIENT_SCOPES

OVERRIDE = ROOT / "deploy/containers/override.yaml"
READY_WITHIN = "600"
_PATIENT = {"timeout": "60s", "retries": 20}
_JOBS = ("-migrate", "-init", "-folder", "access", "topics")
WITHOUT_CHECK = {"sms-carrier", "redis-exporter"}
KAFKA = "127.0.0.1:9094"


@dataclass(frozen=True)
class Composed:
    """The containers of an installation."""

    engine: Engine
    installation: Installation

    async def compose(self, *arguments: str, given: str | None = None) -> str:
        """Run Docker Compose in the installation."""
        patience = self.installation.folder / "patience.json"
        names = ["docker-compose.yml", str(OVERRIDE), *([str(patience)] if patience.exists() else [])]
        files = [f"--file={name}" for name in names]
        place = ["--project-directory", str(self.installation.folder), *files]
        return await self.engine.compose(*place, *arguments, folder=self.installation.folder, given=given)

    async def be_patient(self) -> None:
        """Let health checks take longer, for a machine that is busy with other work."""
        names = set((await self.compose("config", "--services")).split()) - WITHOUT_CHECK
        checks = {name: {"healthcheck": _PATIENT} for name in names if not name.endswith(_JOBS)}
        (self.installation.folder / "patience.json").write_text(json.dumps({"services": checks}))

    def use(self, version: str) -> None:
        """Run this version of our image from now on."""
        settings = self.installation.folder / ".env"
        kept = [line for line in settings.read_text().splitlines() if not line.startswith("VERSION=")]
        settings.write_text("\n".join([*kept, f"VERSION={version}", ""]))

    async def build(self, *options: str) -> None:
        """Build our image."""
        await self.compose("--progress", "plain", "build", *options, "mongo-init")

    async def up(self) -> None:
        """Start everything and wait until all is healthy."""
        await self.compose("--progress", "quiet", "up", "--detach", "--wait", "--wait-timeout", READY_WITHIN)

    def container(self, name: str) -> str:
        """Return the engine's name of a container."""
        return f"{PROJECT}-{name}-1"

    async def accounts(self) -> dict[str, Any]:
        """Create the first member of staff, API clients and a subscriber by command, as an operator does."""
        clerk = {"username": "chief", "password": secrets.token_hex(12), "totp_secret": pyotp.random_base32()}
        login = {name: clerk[name] for name in ("password", "totp_secret")}
        await self._identity("staff", "chief", "--roles", "admin,clerk", given=login)
        own = json.loads((self.installation.secrets / "records/client").read_text())["secret"]
        await self._identity("client", "records", "--scopes", "practitioners:lookup", given={"client_secret": own})
        client = {"client_id": CLIENT_ID, "client_secret": secrets.token_hex(24)}
        scopes = " ".join(CLIENT_SCOPES)
        await self._identity("client", CLIENT_ID, "--scopes", scopes, given={"client_secret": client["client_secret"]})
        granted = await self.compose(
            "run", "--rm", "--no-deps", "-T", "access", "deploy.access", "grant", "subscriber", "demo"
        )
        return {"demo": {"clerk": clerk, "client": client}, "subscriber": json.loads(granted.splitlines()[-1])}

    async def _identity(self, *words: str, given: dict[str, str]) -> None:
        run = ["exec", "-T", "identity-api", "python", "-m", "services.identity", *words]
        await self.compose(*run, given=json.dumps(given))

    async def facts(self) -> dict[str, Any]:
        """Return what stack.json says of a local stack, as far as the demo needs it.

        Redis has no port on this machine; the demo reads captchas' answers from it under the container's address.
        """
        redis = await self.engine.inspect(self.container("redis"))
        address = redis["NetworkSettings"]["Networks"][f"{PROJECT}_inside"]["IPAddress"]
        ca = self.installation.authority
        trusted = f"ssl_ca_certs={ca}&ssl_check_hostname=false"
        return {
            "gateway": f"https://{SITE}",
            "ca": str(ca),
            "kafka": KAFKA,
            "redis": f"rediss://{ADMIN}:{self.installation.admin_password()}@{address}:6379/0?{trusted}",
            "sms_inbox": f"http://127.0.0.1:{self.installation.inbox}",
        }
