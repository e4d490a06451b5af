"""The secrets of an installation, as files: what docker-compose.yml mounts, and what the chart's Secrets are made from.

<service>/              keys of a service, a file for each group of settings (SECRETS_DIR)
principals/<name>/      how a principal logs in to the servers that it may use; a process's certificate and key
kafka/, mongo/, …       files of the servers, with their certificates and keys; access/: of the job that creates users
trust/                  the authority's certificate, which is in the folders above, too
authority/              the key of the authority; mounted nowhere

Existing files stay, but those that follow from others: a file that is removed is made again.
"""

import base64
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import OKPKey

from deploy.access import redis, s3
from deploy.access.authority import PUBLIC, SECRET, Authority, write
from deploy.access.principals import ADMIN, SERVICES, Principal, principals, with_port

COMMON_NAME = "practitioner-portal"
"""Every process's certificate is for this name too: Prometheus and an Ingress controller reach pods by address."""
INDEXED = ("identity", "signature", "notify")
"""Services whose encryption keys include one of a blind index."""
CARRIERS = {
    "tencent": {"secret_id": "", "secret_key": "", "sdk_app_id": ""},
    "aliyun": {"access_key_id": "", "access_key_secret": ""},
}
CHANNELS: dict[str, dict[str, object]] = {
    "wecom": {"url": ""},
    "dingtalk": {"url": "", "secret": ""},
    "mail": {
        "host": "", "port": 587, "tls": "starttls", "username": "", "password": "", "sender": "", "recipients": [],
    },
    "heartbeat": {"url": ""},
}  # fmt: skip
"""Where alerts go, all of them optional: what is empty is off."""
SERVERS = ("kafka", "mongo", "redis", "s3")
LOGS = ("log-shipper", "log-receiver")
"""They have certificates only."""
LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Installation:
    """A folder of secrets. `kafka_host`: where subscribers find Kafka; `release`: of the chart, for its pods' names."""

    folder: Path
    kafka_host: str = "127.0.0.1"
    release: str = ""

    def make(self) -> None:
        """Make what is missing, and renew certificates."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        passwords = self._passwords()
        for service in SERVICES:
            self._keys_of(service)
        for principal in principals().values():
            self._logins(principal, passwords[principal.name])
        for channel, settings in CHANNELS.items():
            self._keep(f"alerts/{channel}", settings)
        self._administrator(passwords[ADMIN])
        self._signing_of_backups()
        self._servers(passwords)
        self._certificates()

    def rotate(self, name: str) -> None:
        """Replace a principal's password wherever it is written. To take effect: docs/operating.md."""
        passwords = self._passwords()
        new = password()
        for file in sorted((self.folder / "principals" / name).iterdir()):
            self._write(file, file.read_text().replace(passwords[name], new))
        self._write(self.folder / "access/passwords", json.dumps(passwords | {name: new}, indent=1))
        self.make()

    def _passwords(self) -> dict[str, str]:
        """One password a principal, for all servers."""
        file = self.folder / "access/passwords"
        known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        missing = [name for name in (ADMIN, *principals()) if name not in known]
        if missing:
            known |= {name: password() for name in missing}
            self._write(file, json.dumps(known, indent=1))
        return known

    def _keys_of(self, service: str) -> None:
        ring = {"keys": {"k1": random_key()}, "current": "k1"}
        self._keep(f"{service}/seal", ring | ({"index_key": random_key()} if service in INDEXED else {}))
        if service == "identity":
            self._keep("identity/bus", {"keys": {"k1": random_key()}, "current": "k1"})
            self._keep("identity/signing", {"keys": [signing_key()]})
            self._keep("identity/audit", {"keys": [signing_key()]})
            self._keep("identity/codes", {"hmac_key": random_key()})
        if service == "records":
            self._keep("records/client", {"id": "records", "secret": password()})
        if service == "notify":
            self._keep("notify/bus", json.loads((self.folder / "identity/bus").read_text()))
            for carrier, account in CARRIERS.items():
                own = {"sign_name": "", "templates": {}, "receipts_token": password(), "receipts_from": []}
                self._keep(f"notify/{carrier}", own | account)

    def _logins(self, principal: Principal, secret: str) -> None:
        place = f"principals/{principal.name}"
        if principal.kafka:
            self._keep(f"{place}/kafka", {"user": principal.name, "password": secret})
        if principal.mongo or principal.cluster:
            self._keep(f"{place}/mongo", {"url": mongo_url(principal.name, secret)})
        if principal.commands or principal.service:  # a process that does not use Redis has its address all the same
            login = f"{principal.name}:{secret}@" if principal.commands else ""
            self._keep(f"{place}/redis", {"url": f"rediss://{login}redis:6379/0"})
        if principal.buckets:
            self._keep(f"{place}/blobs", {"access_key": principal.name, "secret_key": secret})
        if principal.name == "monitoring":
            self._keep(f"{place}/redis_passwords", redis.exporter_passwords("redis:6379", principal.name, secret))

    def _administrator(self, secret: str) -> None:
        place = f"principals/{ADMIN}"
        self._keep(f"{place}/kafka", {"user": ADMIN, "password": secret})
        self._keep(f"{place}/mongo", {"url": mongo_url(ADMIN, secret)})
        self._keep(f"{place}/blobs", {"access_key": ADMIN, "secret_key": secret})
        self._write(self.folder / "kafka/admin", secret)

    def _signing_of_backups(self) -> None:
        """The key that signs manifests; a restore compares them with it."""
        self._keep("principals/backup/backup", {"key": random_key()})
        self._keep("principals/restore/backup", json.loads((self.folder / "principals/backup/backup").read_text()))

    def _servers(self, passwords: Mapping[str, str]) -> None:
        self._keep("mongo/key", base64.b64encode(secrets.token_bytes(512)).decode())
        self._write(self.folder / "redis/users.acl", redis.acl_file(passwords))
        keys = {name: (name, secret) for name, secret in passwords.items()}
        self._write(self.folder / "s3/s3.json", s3.identities(keys))
        self._keep("s3/tokens", [password() for _ in s3.TOKENS])
        tokens: list[str] = json.loads((self.folder / "s3/tokens").read_text())
        inside = Path("/run/inside")
        security = s3.security(tokens, inside / "tls.crt", inside / "tls.key", inside / "ca.crt")
        self._write(self.folder / "s3/security.toml", security)
        self._keep("grafana/password", password())
        (self.folder / "gateway").mkdir(exist_ok=True)  # for a certificate of one's own, see docs/deployment.md

    def _certificates(self) -> None:
        authority = Authority.in_folder(self.folder / "authority")
        for name in principals():
            hosts = [name, COMMON_NAME, *LOCAL, *self._pods(name)] if name in with_port() else []
            self._certificate(authority, name, hosts, f"principals/{name}")
        self._certificate(authority, ADMIN, [], f"principals/{ADMIN}")
        public = [] if self.kafka_host in LOCAL else [self.kafka_host]
        for server in SERVERS:
            self._certificate(authority, server, [server, *LOCAL, *(public if server == "kafka" else [])], server)
        for program in LOGS:
            self._certificate(authority, program, [program, COMMON_NAME, *LOCAL], program)
        self._certificate(authority, "trust", [], "trust")
        inside = Authority.in_folder(self.folder / "authority/s3-inside", "s3")
        self._certificate(inside, "s3", ["s3", *LOCAL], "s3-inside")

    def _pods(self, name: str) -> list[str]:
        return [f"{self.release}-{name}", f"{self.release}-{name}-internal"] if self.release else []

    def _certificate(self, authority: Authority, name: str, hosts: Sequence[str], place: str) -> None:
        """The authority's certificate, and one for these names if there are any."""
        shutil.copyfile(authority.ca, self._path(f"{place}/ca.crt"))
        if hosts:
            authority.issue(name, hosts, self.folder / place, files=SECRET, readable=True)

    def _keep(self, name: str, content: object) -> None:
        """Write the file, as JSON unless it is a text, if there is none."""
        path = self._path(name)
        if not path.exists():
            self._write(path, content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))

    def _write(self, path: Path, text: str) -> None:
        """Containers' users don't exist on the host: everybody who can enter the folder may read the files in it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            write(path, text.encode(), PUBLIC)

    def _path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def mongo_url(user: str, secret: str) -> str:
    """The address of a principal's databases."""
    return f"mongodb://{user}:{secret}@mongo:27017/?replicaSet=rs0&authSource=admin"


def password() -> str:
    """48 random hexadecimal digits."""
    return secrets.token_hex(24)


def random_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def signing_key() -> dict[str, object]:
    """A private Ed25519 key as JWK."""
    key = OKPKey.generate_key("Ed25519", {"kid": secrets.token_hex(4), "use": "sig"}, private=True)
    return dict(key.as_dict(private=True))
