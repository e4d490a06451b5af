"""The certificate authority: certificates are made once, renewed in time, and trusted by Python's own verification."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from deploy.access.authority import Authority

HOSTS = ["records-api", "127.0.0.1"]


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "records-api.pem").read_bytes())


def test_a_certificate_is_made_once_and_its_key_is_its_owners(tmp_path: Path) -> None:
    authority = Authority.in_folder(tmp_path / "ca")
    assert authority.issue("records-api", HOSTS, tmp_path)
    before = certificate(tmp_path)
    assert not Authority.in_folder(tmp_path / "ca").issue("records-api", HOSTS, tmp_path)
    assert certificate(tmp_path) == before
    for name in ("records-api.key", "records-api.both.pem", "ca/ca.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_it_is_renewed_when_a_third_of_its_life_is_left_or_its_names_change(tmp_path: Path) -> None:
    authority = Authority.in_folder(tmp_path / "ca")
    authority.issue("records-api", HOSTS, tmp_path)
    assert authority.issue("records-api", [*HOSTS, "localhost"], tmp_path)
    assert certificate(tmp_path).not_valid_after_utc - datetime.now(UTC) > timedelta(days=396)
    (tmp_path / "records-api.key").unlink()
    assert authority.issue("records-api", HOSTS, tmp_path, days=0), "valid for no time at all"
    assert authority.issue("records-api", HOSTS, tmp_path), "the one before has run out"


def test_another_authority_replaces_the_certificate_and_the_older_one_stays_trusted(tmp_path: Path) -> None:
    first = Authority.in_folder(tmp_path / "ca")
    first.issue("records-api", HOSTS, tmp_path)
    (tmp_path / "ca/ca.key").unlink()
    second = Authority.in_folder(tmp_path / "ca")
    assert second.certificate != first.certificate
    assert second.issue("records-api", HOSTS, tmp_path)
    trusted = ssl.create_default_context(cafile=second.ca)
    assert len(trusted.get_ca_certs()) == 2


def test_a_server_with_it_is_accepted_under_its_names_and_no_other(tmp_path: Path) -> None:
    authority = Authority.in_folder(tmp_path / "ca")
    authority.issue("records-api", HOSTS, tmp_path)
    assert handshake(tmp_path, authority.ca, "records-api") == "accepted"
    assert handshake(tmp_path, authority.ca, "127.0.0.1") == "accepted"
    assert "match" in handshake(tmp_path, authority.ca, "identity-api")
    other = Authority.in_folder(tmp_path / "other")
    assert "verify failed" in handshake(tmp_path, other.ca, "records-api")


def handshake(folder: Path, ca: Path, host: str) -> str:
    """In memory: what a client that trusts `ca` says of the server when it asks for `host`."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "records-api.pem", folder / "records-api.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context(cafile=ca).wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return str(error)
    return "accepted"
