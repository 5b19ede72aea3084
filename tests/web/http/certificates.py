"""A certificate authority for tests."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM
_BARE = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """Signs certificates for names. Clients trust ``ca_file``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Kvasir's test authority")
        certificate = self._sign(self._name, self._key, None)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(certificate.public_bytes(_PEM))

    def server(self, name: str, *, expired: bool = False) -> ssl.SSLContext:
        """Return a server's TLS context with a certificate for a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_named(name), key, name, expired=expired)
        file = self._folder / f"{name}{'.old' if expired else ''}.pem"
        file.write_bytes(certificate.public_bytes(_PEM) + key.private_bytes(_PEM, *_BARE))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None, *, expired: bool = False
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        ends = now + dt.timedelta(days=-1 if expired else 30)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=30))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
