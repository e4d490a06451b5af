"""The gateway as an installation starts it: a real Caddy with the Caddyfile and a certificate of one's own."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.gateway import gateway
from tests.support.installation import SITE, compose


def test_a_certificate_of_ones_own_is_served_and_none_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    authority = write_certificate(folder / "site.pem")
    trusted = ssl.create_default_context(cadata=authority)
    with gateway(f"https://{SITE}", folder, tmp_path) as (port, log):
        with httpx2.Client(verify=trusted) as client:
            answer = client.get(
                f"https://127.0.0.1:{port}/api/nobody", headers={"Host": SITE}, extensions={"sni_hostname": SITE}
            )
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "max-age" in answer.headers["strict-transport-security"]
        told = log.read_text()
    assert "one or more matching certificates are already loaded" in told
    assert "obtaining certificate" not in told


def test_a_folder_without_a_certificate_is_none_the_worse_for_plain_http(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    with gateway("http://localhost", folder, tmp_path) as (port, _log):
        answer = httpx2.get(f"http://127.0.0.1:{port}/api/nobody", headers={"Host": "localhost"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_http3_is_published_where_it_is_offered() -> None:
    given = compose()["gateway"].given
    assert {"443:443", "443:443/udp"} <= set(given["ports"])


def write_certificate(path: Path) -> str:
    """For SITE, with its key behind it, as docs/deployment.md says. Returns the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SITE)]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SITE)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_text(public + private.decode())
    return public
