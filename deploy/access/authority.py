"""A certificate authority of one's own: its certificate, and certificates for programs, as PEM files.

Each program has a certificate with its name as CN, for the names and addresses under which others reach it. In
production another authority (or cert-manager) can write the same files: docs/deployment.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
DAYS = 397
RENEWED_AT = 1 / 3
"""A certificate is renewed when less than this share of its life is left."""
SKEW = timedelta(minutes=5)
PRIVATE, PUBLIC = 0o600, 0o644
Files = tuple[str, str, str]
"""The names of the files of a certificate, its key, and both."""
SECRET: Files = ("tls.crt", "tls.key", "tls.pem")
"""As in a Secret of Kubernetes."""


@dataclass(frozen=True)
class Authority:
    """An authority; `ca`: the file of its certificate, and after it of older ones that programs still trust."""

    ca: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def in_folder(cls, folder: Path, name: str = "practitioner-portal") -> Self:
        """Read the authority from `ca.pem` and `ca.key`; without `ca.key` create both."""
        ca, key_file = folder / "ca.pem", folder / "ca.key"
        if not key_file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _root(f"{name} {datetime.now(UTC):%Y-%m-%d}", key)
            older = ca.read_bytes() if ca.exists() else b""
            write(ca, certificate.public_bytes(Encoding.PEM) + older, PUBLIC)
            write(key_file, _pem(key), PRIVATE)
        private = load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_file} is not a key of an elliptic curve")
        return cls(ca, x509.load_pem_x509_certificates(ca.read_bytes())[0], private)

    def issue(
        self, name: str, hosts: Sequence[str], folder: Path, *, files: Files | None = None, readable: bool = False,
        days: int = DAYS,
    ) -> bool:  # fmt: skip
        """Make a program's certificate for these names and addresses, unless it has one that will do for long enough.

        Writes three files, by default <name>.pem, <name>.key, and <name>.both.pem with key and certificate. Only their
        owner may read keys, or everyone who can enter the folder if `readable`, for containers whose users the host
        doesn't know. Returns whether a certificate was made.
        """
        names = files or (f"{name}.pem", f"{name}.key", f"{name}.both.pem")
        certificate_file, key_file, both = (folder / each for each in names)
        if both.exists() and key_file.exists() and self._will_do(certificate_file, hosts):
            return False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(name, hosts, key, days).public_bytes(Encoding.PEM)
        mode = PUBLIC if readable else PRIVATE
        write(key_file, _pem(key), mode)
        write(both, _pem(key) + certificate, mode)
        write(certificate_file, certificate, PUBLIC)
        return True

    def _will_do(self, file: Path, hosts: Sequence[str]) -> bool:
        if not file.exists():
            return False
        found = x509.load_pem_x509_certificate(file.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        life = found.not_valid_after_utc - found.not_valid_before_utc
        left = found.not_valid_after_utc - datetime.now(UTC)
        return left > life * RENEWED_AT and set(names) == set(_names(hosts)) and self._signed_by_us(found)

    def _signed_by_us(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except Exception:
            return False
        return True

    def _signed(self, name: str, hosts: Sequence[str], key: ec.EllipticCurvePrivateKey, days: int) -> x509.Certificate:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = _builder(name, self.certificate.subject, key.public_key(), days)
        for extension in (x509.SubjectAlternativeName(_names(hosts)), usage):
            builder = builder.add_extension(extension, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return builder.add_extension(issuer, critical=False).sign(self.key, SHA256())


def _root(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = _subject(name)
    builder = _builder(name, subject, key.public_key(), CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return builder.add_extension(_signing(), critical=True).sign(key, SHA256())


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(_subject(name)).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - SKEW).not_valid_after(now + timedelta(days=days))


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signing() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(host) for host in hosts]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file with this mode, atomically."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=mode)
    fresh.chmod(mode)  # regardless of the umask
    fresh.write_bytes(content)
    fresh.replace(path)
