"""The door itself: TLS from a Secret's folder, and whose address counts behind proxies."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from maas_operator.gateway.facts import Facts
from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")


def mount(folder: Path, name: str) -> None:
    """Put a certificate there as the kubelet does: a new folder, and a link that is moved over the old one."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, private.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(private, hashes.SHA256())
    data = folder / f"..{name}"
    data.mkdir()
    (data / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (data / "tls.key").write_bytes(private.private_bytes(*plain))
    (folder / "..new").symlink_to(data.name)
    (folder / "..new").rename(folder / "..data")
    for file in ("tls.crt", "tls.key"):
        if not (folder / file).exists():
            (folder / file).symlink_to(f"..data/{file}")


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    mount(tmp_path, "first")
    yield tmp_path


class Encrypted(Gateway):
    url = property(lambda self: f"https://127.0.0.1:{self.settings.port}")

    async def shown(self) -> str:
        """The common name of the certificate that is shown."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.settings.port, ssl=context)
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return str(x509.load_der_x509_certificate(certificate).subject.rdns[0].rfc4514_string())

    async def _ready(self) -> bool:
        try:
            return await self.shown() != ""
        except (OSError, ssl.SSLError):
            return False


async def test_tls_and_a_renewed_certificate(engine: Backend, secret: Path) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Encrypted(facts, tls={"folder": str(secret)}) as gateway:
        headers = {"Authorization": "Bearer key-a"}
        body = {"model": "chat", "messages": []}
        answer = await gateway.call("POST", "/v1/chat/completions", headers=headers, json=body, ssl=False)
        assert answer.status == 200
        assert await gateway.shown() == "CN=first"
        mount(secret, "second")

        async def renewed() -> bool:
            return await gateway.shown() == "CN=second"

        await gateway.until(renewed)


async def test_apig_0308_counts_the_address_that_a_trusted_proxy_names(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts, requests_per_minute_per_address=1, trusted_proxies=1) as gateway:

        async def code(forwarded: str) -> str | None:
            headers = {"Authorization": "Bearer nobody", "X-Forwarded-For": forwarded}
            return (await gateway.call("POST", "/v1/chat/completions", headers=headers, json={})).code

        codes = [await code(each) for each in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.9, 192.0.2.2")]
    assert codes == ["ModelArts.81003", "ModelArts.81003", "APIG.0308", "APIG.0308"]
