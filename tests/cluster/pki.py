"""One certificate authority, and what it signs."""

import datetime
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=3650)
CLOCK_SKEW = datetime.timedelta(hours=1)


class Authority:
    """The cluster's CA: made on first use, then read again from `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.certificate_file.exists():
            self._create()
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        key = serialization.load_pem_private_key(self.key_file.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    @property
    def certificate_file(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def key_file(self) -> Path:
        return self.directory / "ca.key"

    def issue(
        self, name: str, common_name: str, organizations: Sequence[str] = (), hosts: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        """Return the files of a certificate and its key, signing it on first use.

        `hosts` (DNS names or IP addresses) are its subject alternative names: with any it serves, always it is a
        client's, of user `common_name` in groups `organizations`.
        """
        certificate_file, key_file = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        if not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            builder = _builder(_subject(common_name, organizations), self._certificate.subject, key.public_key())
            usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
            if hosts:
                usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
                names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
                builder = builder.add_extension(names, critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False).add_extension(
                x509.BasicConstraints(ca=False, path_length=None), critical=True
            )
            _write_key(key_file, key)
            certificate_file.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        return certificate_file, key_file

    def service_account_keys(self) -> tuple[Path, Path]:
        """Return the files of the public and the private key of service accounts' tokens."""
        public_file, key_file = self.directory / "service-accounts.pub", self.directory / "service-accounts.key"
        if not public_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write_key(key_file, key)
            public_file.write_bytes(
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
        return public_file, key_file

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject("maas-operator local cluster", ())
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = (
            _builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(usage, critical=True)
        )
        _write_key(self.key_file, key)
        self.certificate_file.write_bytes(_pem(builder.sign(key, hashes.SHA256())))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _subject(common_name: str, organizations: Sequence[str]) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
