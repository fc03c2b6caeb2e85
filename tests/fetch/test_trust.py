"""Mirrors and buckets with certificates of a site's own authority, under the variables of settings.sources.caBundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from maas_operator.decide.sources import CA_VARIABLES
from tests.cluster.pki import Authority
from tests.fetch.hub import Hub, served
from tests.fetch.program import Program
from tests.fetch.test_bucket import ACCESS, SECRET, SOURCE, Server
from tests.fetch.test_hub import SOURCE as OF_A_HUB
from tests.fetch.test_hub import whole

HOST = "127.0.0.1"
UNTRUSTED = "shows a certificate that is not trusted"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def signed(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server", "server", hosts=[HOST])


@pytest.fixture
def hub(model: Path, signed: tuple[Path, Path]) -> Iterator[Hub]:
    with served(model, HOST, signed) as hub:
        yield hub


@pytest.mark.parametrize(("scheme", "branch"), [("hf", "main"), ("modelscope", "master")])
def test_a_mirror_with_a_certificate_of_the_site_is_fetched_from_where_that_is_trusted(
    hub: Hub, model: Path, cache: Path, tmp_path: Path, authority: Authority, scheme: str, branch: str
) -> None:
    source = OF_A_HUB.replace("hf://", f"{scheme}://")
    mirror = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url}
    with Program(source, cache, tmp_path, **mirror) as strange:
        assert strange.ended() == 1
    assert strange.last_words.startswith(f"{hub.url} {UNTRUSTED}"), strange.log
    assert "settings.sources.caBundle" in strange.last_words
    trust = dict.fromkeys(CA_VARIABLES, str(authority.certificate_file))
    with Program(source, cache, tmp_path, **mirror, **trust) as trusting:
        assert trusting.ended() == 0, trusting.log
    whole(cache, model, f"shared/{scheme}/acme/tiny@{branch}")


def test_a_bucket_with_a_certificate_of_the_site_is_fetched_from_where_that_is_trusted(
    model: Path,
    cache: Path,
    tmp_path: Path,
    authority: Authority,
    signed: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in CA_VARIABLES:
        monkeypatch.setenv(name, str(authority.certificate_file))
    server = Server(tmp_path / "s3", signed)
    keys = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL_S3": server.url}
    try:
        server.put(model)
        with Program(SOURCE, cache, tmp_path, **keys) as trusting:
            assert trusting.ended() == 0, trusting.log
        for name in CA_VARIABLES:
            monkeypatch.delenv(name)
        with Program(SOURCE, tmp_path, tmp_path, **keys) as strange:
            assert strange.ended() == 1
    finally:
        server.end()
    assert UNTRUSTED in strange.last_words, strange.log
