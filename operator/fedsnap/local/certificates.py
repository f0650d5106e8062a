"""Certificates and keys of a local control plane: an authority for Kubernetes and one for etcd."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=365)
_SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Files of a certificate and its private key, both PEM."""

    certificate: Path
    key: Path


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


class Authority:
    """A certificate authority in a directory; it makes what is missing and keeps what is there."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self.pair = self._pair("ca")
        if not self.pair.certificate.exists():
            key = _new_key()
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            builder = _builder(subject, subject, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            self._write(self.pair, key, builder.add_extension(_CA_USAGE, True).sign(key, hashes.SHA256()))

    def server(self, name: str, addresses: tuple[str, ...] = ("127.0.0.1",)) -> KeyPair:
        """A certificate for servers on loopback that may also act as clients (etcd's peers do both)."""
        names: list[x509.GeneralName] = [x509.DNSName(one) for one in _SERVER_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issue(name, name, (), [usage, x509.SubjectAlternativeName(names)])

    def client(self, name: str, user: str, *groups: str) -> KeyPair:
        """A certificate that the API server takes for a user of some groups."""
        return self._issue(name, user, groups, [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])])

    def _issue(self, name: str, user: str, groups: tuple[str, ...], extensions: list[x509.ExtensionType]) -> KeyPair:
        pair = self._pair(name)
        if pair.certificate.exists():
            return pair
        authority = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        signer = serialization.load_pem_private_key(self.pair.key.read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - we wrote it
        key = _new_key()
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        builder = _builder(subject, authority.subject, key)
        for extension in extensions:
            builder = builder.add_extension(extension, False)
        self._write(pair, key, builder.sign(signer, hashes.SHA256()))
        return pair

    def _pair(self, name: str) -> KeyPair:
        return KeyPair(self._directory / f"{name}.crt", self._directory / f"{name}.key")

    @staticmethod
    def _write(pair: KeyPair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        write_private(pair.key, private_pem(key))
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def signing_key(private: Path, public: Path) -> str:
    """The public half (PEM) of the key that signs service accounts' tokens; made where it is missing."""
    if not public.exists():
        key = _new_key()
        write_private(private, private_pem(key))
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, spki))
    return public.read_text(encoding="ascii")


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as kube-apiserver and etcd read it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )
