"""TLS, at least 1.2: what clients accept, and the certificate of this process's ports."""

import asyncio
import ssl
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate

from kit.observability import log
from kit.observability.metrics import certificate_expires
from kit.settings import TlsSettings

CHECK_SECONDS = 30.0
logger = log.get(__name__)


def client_context(ca: Path | None) -> ssl.SSLContext:
    """Accepts a server with a certificate for its name from `ca`; without it, from the system's authorities."""
    return ssl.create_default_context(cafile=ca)


class ServerCertificate:
    """The certificate of this process: `context` is for its servers, and uses renewed files for new connections."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._files = certificate, key
        self._use(self._read())

    @classmethod
    def of(cls, settings: TlsSettings) -> "ServerCertificate | None":
        """The configured certificate. Raises `OSError` if it can't be used."""
        return cls(settings.certificate, settings.key) if settings.certificate and settings.key else None

    async def follow(self) -> None:
        """Use renewed files until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                self.renew()
            except OSError as error:  # also a key that is not yet the certificate's
                logger.error("renewed certificate not usable", error=str(error))

    def renew(self) -> None:
        """Use the files if they have changed. Raises `OSError` if they can't be used; then the old ones stay in use."""
        found = self._read()
        if found != self._used:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)  # a failure would break `context`
            self._use(found)
            logger.info("certificate renewed")

    def _use(self, found: tuple[bytes, ...]) -> None:
        self.context.load_cert_chain(*self._files)
        self._used = found
        certificate_expires.set(load_pem_x509_certificate(found[0]).not_valid_after_utc.timestamp())

    def _read(self) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() for path in self._files)
