"""Fetching from a real S3 server, with credentials and without, verified by what S3 keeps of a file."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import obstore
import pytest
from obstore.store import S3Store

from maas_operator.fetch import bucket
from maas_operator.fetch.errors import FetchError, PassingError
from maas_operator.fetch.files import RemoteFile
from tests.cluster.build import binary
from tests.fetch.conftest import MIB, WEIGHTS
from tests.fetch.test_hub import NEEDED, whole
from tests.fetch.within import a_fetch
from tests.processes import Process, free_port

BUCKET = "weights"
SOURCE = f"s3://{BUCKET}/models/tiny"
START_SECONDS = 20.0
ACCESS, SECRET = "account", "correct-horse"


class Server:
    """A server, and a bucket in it. signed: the files of its certificate and key, where it speaks TLS."""

    def __init__(self, folder: Path, signed: tuple[Path, Path] | None = None) -> None:
        port = free_port()
        self.url = f"{'https' if signed else 'http'}://127.0.0.1:{port}"
        self.files = folder / "files"
        for path in (self.files / BUCKET, folder / "versions"):
            path.mkdir(parents=True)
        arguments = ["--port", f"127.0.0.1:{port}", "--access", ACCESS, "--secret", SECRET, "--quiet"]
        arguments += ["--cert", str(signed[0]), "--key", str(signed[1])] if signed else []
        self._process = Process(
            folder / "log", *arguments, "posix", str(self.files), program=str(binary("versitygw"))
        ).start()
        limit = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.running(), self._process.said()
            assert time.monotonic() < limit, "the server does not answer"
            time.sleep(0.05)
        self.store = S3Store(
            BUCKET, endpoint=self.url, region="us-east-1", access_key_id=ACCESS, secret_access_key=SECRET,
            client_options={"allow_http": True},
        )  # fmt: skip

    def put(self, folder: Path, prefix: str = "models/tiny", part: int = 5 * MIB) -> None:
        """Upload a folder, what is larger than a part in parts."""
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            obstore.put(self.store, f"{prefix}/{path.relative_to(folder)}", path, chunk_size=part)

    def end(self) -> None:
        self._process.end()

    def _answers(self) -> bool:
        try:
            urlopen(self.url, timeout=1)
        except HTTPError:
            return True
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("s3"))
    try:
        yield server
    finally:
        server.end()


@pytest.fixture(autouse=True)
def credentials(server: Server, variables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def folder_of(cache: Path) -> str:
    (found,) = (cache / "shared" / "s3" / BUCKET).iterdir()
    return str(found.relative_to(cache))


def test_a_prefix_is_fetched_and_held_to_the_etags_also_of_uploads_in_parts(
    server: Server, model: Path, cache: Path
) -> None:
    server.put(model)
    found = {each["path"]: each["e_tag"] for page in server.store.list("models/tiny") for each in page}
    assert str(found[f"models/tiny/{WEIGHTS}"]).strip('"').endswith("-5"), "five parts"
    a_fetch(SOURCE, cache).run()
    whole(cache, model, folder_of(cache))
    assert folder_of(cache).startswith(f"shared/s3/{BUCKET}/models-tiny@")


def test_an_interrupted_file_goes_on_where_it_ended(
    server: Server, model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(model)
    began = []
    append = bucket.Bucket.append

    def cut_off(self: bucket.Bucket, file: RemoteFile, to: object, at: int) -> None:
        began.append((file.path, at))
        if file.path == WEIGHTS and at == 0:
            to.write((model / WEIGHTS).read_bytes()[: 9 * MIB])  # type: ignore[attr-defined]
            raise PassingError("cut off")
        append(self, file, to, at)  # type: ignore[arg-type]

    monkeypatch.setattr(bucket.Bucket, "append", cut_off)
    a_fetch(SOURCE, cache).run()
    whole(cache, model, folder_of(cache))
    assert (WEIGHTS, 9 * MIB) in began


def test_a_file_that_was_changed_behind_the_servers_back_is_never_loaded(
    server: Server, model: Path, cache: Path
) -> None:
    server.put(model)
    with (server.files / BUCKET / "models/tiny" / WEIGHTS).open("r+b") as file:
        file.write(b"other")
    with pytest.raises(FetchError, match=rf"the etag of {WEIGHTS} is .*put a SHA256SUMS beside the files; it was"):
        a_fetch(SOURCE, cache).run()
    assert not (cache / "shared").exists()


def test_sums_beside_the_files_count_more_than_etags(server: Server, model: Path, cache: Path) -> None:
    sums = subprocess.run(["sha256sum", *NEEDED], cwd=model, capture_output=True, text=True, check=True).stdout
    (model / "SHA256SUMS").write_text(sums.replace(sums[:64], "0" * 64, 1))
    server.put(model, "models/summed")
    with pytest.raises(FetchError, match=r"the sha256 of config\.json is "):
        a_fetch(f"s3://{BUCKET}/models/summed", cache).run()
    obstore.put(server.store, "models/summed/SHA256SUMS", sums.encode())
    a_fetch(f"s3://{BUCKET}/models/summed", cache).run()
    whole(cache, model, folder_of(cache))


@pytest.mark.parametrize("secret", [None, "wrong"])
def test_a_bucket_that_may_not_be_read_is_told_with_what_is_missing(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    if secret is None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    else:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    with pytest.raises(
        FetchError, match=r"refuses models/tiny \(HTTP 403 .*give the service a Secret with AWS_ACCESS"
    ) as no:
        a_fetch(SOURCE, cache).run()
    assert "Signature=" not in str(no.value)


def test_half_of_the_credentials_are_told_as_such(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(FetchError, match=r"the variables for bucket .* do not fit: .*Missing AccessKeyId"):
        a_fetch(SOURCE, cache).run()


@pytest.mark.parametrize("source", ["s3://nobucket/models", SOURCE])
def test_what_is_not_there_is_said_to_be_missing_at_once(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    if source == SOURCE:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(FetchError, match=r"does not give models.*: HTTP 404 (NoSuchBucket|XAdminUserNotFound)"):
        a_fetch(source, cache).run()


def test_a_prefix_with_nothing_under_it_is_said_to_be_empty(server: Server, cache: Path) -> None:
    with pytest.raises(FetchError, match=f"bucket {BUCKET} at {server.url} has nothing under models/none"):
        a_fetch(f"s3://{BUCKET}/models/none", cache).run()
