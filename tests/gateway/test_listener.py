"""The door itself: TLS from a Secret's folder, and whose address counts behind proxies."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509

from maas_operator.gateway.facts import Facts
from tests.cluster.pki import Authority
from tests.gateway.backend import Backend
from tests.gateway.gateway import Gateway
from tests.gateway.scene import key, service

pytestmark = pytest.mark.asyncio(loop_scope="session")


def mount(folder: Path, certificate: Path, key_file: Path) -> None:
    """Put a certificate there as the kubelet does: a new folder, and a link that is moved over the old one."""
    data = folder / f"..{certificate.stem}"
    data.mkdir()
    (data / "tls.crt").write_bytes(certificate.read_bytes())
    (data / "tls.key").write_bytes(key_file.read_bytes())
    (folder / "..new").symlink_to(data.name)
    (folder / "..new").rename(folder / "..data")
    for file in ("tls.crt", "tls.key"):
        if not (folder / file).exists():
            (folder / file).symlink_to(f"..data/{file}")


class Encrypted(Gateway):
    """A replica whose clients check its certificate."""

    url = property(lambda self: f"https://127.0.0.1:{self.settings.port}")
    authority: Authority
    mounted: Path

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.certificate_file))

    async def shown(self) -> str:
        """The common name of the certificate that is shown. Raises ssl.SSLError where a client would not trust it."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.settings.port, ssl=self.trusting())
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return str(x509.load_der_x509_certificate(certificate).subject.rdns[0].rfc4514_string())

    async def _ready(self) -> bool:
        try:
            return await self.shown() != ""
        except OSError:
            return False


@pytest_asyncio.fixture(loop_scope="session")
async def encrypted(engine: Backend, tmp_path: Path) -> AsyncIterator[Encrypted]:
    authority, folder = Authority(tmp_path / "authority"), tmp_path / "mounted"
    folder.mkdir()
    mount(folder, *authority.issue("first", "first", hosts=["127.0.0.1"]))
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    made = Encrypted(facts, tls={"folder": str(folder)})
    made.authority, made.mounted = authority, folder
    async with made:
        yield made


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_tls_over_http_1_and_2_for_clients_that_check_the_certificate(encrypted: Encrypted, version: str) -> None:
    head = ["-H", "Authorization: Bearer key-a", "-H", "Content-Type: application/json"]
    body = ["--data", '{"model":"chat","messages":[]}', f"{encrypted.url}/v1/chat/completions"]
    told = ["--silent", "--output", "/dev/null", "--write-out", "%{http_version} %{http_code} %{ssl_verify_result}"]
    trust = ["--cacert", str(encrypted.authority.certificate_file)]
    curl = await asyncio.create_subprocess_exec(
        "curl", f"--http{version}", *told, *trust, *head, *body, stdout=asyncio.subprocess.PIPE
    )
    assert (await curl.communicate())[0] == f"{version} 200 0".encode()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", encrypted.settings.port, ssl=ssl.create_default_context())


async def test_a_renewed_certificate_is_shown_without_a_restart_or_a_failed_request(encrypted: Encrypted) -> None:
    body = {"model": "chat", "messages": []}
    context, done, answers = encrypted.trusting(), asyncio.Event(), Counter[int]()

    async def call() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while not done.is_set():
                headers = {"Authorization": "Bearer key-a"}
                url = f"{encrypted.url}/v1/chat/completions"
                async with session.post(url, headers=headers, json=body, ssl=context) as answer:
                    await answer.read()
                    answers[answer.status] += 1

    async def answered(more: int) -> None:
        enough = answers.total() + more

        async def there() -> bool:
            return answers.total() >= enough

        await encrypted.until(there)

    calls = [asyncio.create_task(call()) for _ in range(4)]
    for name in ("second", "third"):
        await answered(20)
        mount(encrypted.mounted, *encrypted.authority.issue(name, name, hosts=["127.0.0.1"]))

        async def renewed(name: str = name) -> bool:
            return await encrypted.shown() == f"CN={name}"

        await encrypted.until(renewed)
    await answered(20)
    done.set()
    await asyncio.gather(*calls)
    assert set(answers) == {200}


async def test_apig_0308_counts_the_address_that_a_trusted_proxy_names(engine: Backend) -> None:
    facts = Facts(services=(service("chat", engine),), keys=(key("key-a"),))
    async with Gateway(facts, requests_per_minute_per_address=1, trusted_proxies=1) as gateway:

        async def code(forwarded: str) -> str | None:
            headers = {"Authorization": "Bearer nobody", "X-Forwarded-For": forwarded}
            return (await gateway.call("POST", "/v1/chat/completions", headers=headers, json={})).code

        codes = [await code(each) for each in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.9, 192.0.2.2")]
    assert codes == ["ModelArts.81003", "ModelArts.81003", "APIG.0308", "APIG.0308"]
