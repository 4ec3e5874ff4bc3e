"""TLS by the web configuration file: served, with client certificates, and following renewed files."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from starlette.responses import PlainTextResponse

from b24exporter.webconfig import WebConfig
from b24metrics.errors import ConfigError
from tests.exporter.conftest import served


class Authority:
    """A certificate authority of the test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._signed(self.name, self.key.public_key(), (basic, True))
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key files for 127.0.0.1, for servers and clients alike."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._signed(subject, key.public_key(), (usage, False), (names, False))
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def _signed(self, subject, public_key, *extensions) -> x509.Certificate:
        today = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - dt.timedelta(days=1))
            .not_valid_after(today + dt.timedelta(days=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())


def fetch(port: int, authority: Authority, client: tuple[Path, Path] | None = None) -> str:
    context = ssl.create_default_context(cafile=authority.path)
    if client is not None:
        context.load_cert_chain(*client)
    with httpx.Client(verify=context, trust_env=False) as http:
        return http.get(f"https://127.0.0.1:{port}/").text


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def test_the_exporter_speaks_tls_and_plain_http_gets_nothing(tmp_path: Path, authority: Authority) -> None:
    """Files are relative to the configuration; whoever speaks plain HTTP to the port gets no answer."""
    authority.issue("server")
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key, min_version: TLS13}\n")
    config = WebConfig(path)

    with served(PlainTextResponse("figures"), config) as port:
        assert "figures" == fetch(port, authority)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)


def test_client_certificates_are_asked_for_and_checked(tmp_path: Path, authority: Authority) -> None:
    """RequireAndVerifyClientCert lets in only holders of a certificate of that authority."""
    authority.issue("server")
    (tmp_path / "other").mkdir()
    path = tmp_path / "web.yml"
    path.write_text(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.pem\n"
    )

    with served(PlainTextResponse("figures"), WebConfig(path)) as port:
        assert "figures" == fetch(port, authority, authority.issue("client"))
        stranger = Authority(tmp_path / "other", "authority").issue("stranger")
        for certificate in (None, stranger):
            with pytest.raises(httpx.TransportError):
                fetch(port, authority, certificate)


def test_renewed_certificates_are_taken_up_without_a_restart(tmp_path: Path, authority: Authority) -> None:
    """The next handshake after the files changed shows the new certificate; broken files leave the old one."""
    authority.issue("server")
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")

    def later(file: Path, seconds: int) -> None:
        os.utime(file, ns=(0, file.stat().st_mtime_ns + seconds * 1_000_000_000))

    with served(PlainTextResponse("figures"), WebConfig(path)) as port:
        assert "figures" == fetch(port, authority)

        renewed = Authority(tmp_path, "renewed")
        for file in renewed.issue("server"):
            later(file, 5)
        assert "figures" == fetch(port, renewed)
        with pytest.raises(httpx.TransportError):
            fetch(port, authority)

        (tmp_path / "server.pem").write_text("no certificate")
        later(tmp_path / "server.pem", 10)
        assert "figures" == fetch(port, renewed)


def test_tls_is_not_switched_while_running(tmp_path: Path, authority: Authority) -> None:
    """A port does not turn from https into http under its clients."""
    authority.issue("server")
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    config = WebConfig(path)
    path.write_text("{}\n")

    with pytest.raises(ConfigError, match="restart the exporter"):
        config.reload()
