"""Hugging Face, its mirrors, and ModelScope: files over HTTP, fetched by huggingface_hub's own client."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote

# Before the library is loaded: it reads these then. What is shown is our own, and nobody is told what is fetched.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import httpx2
from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.constants import MAX_HTTP_DOWNLOAD_SIZE
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.file_download import http_get

from maas_operator.api.sources import BRANCHES, NAMES, Scheme, Source
from maas_operator.fetch.errors import FetchError, PassingError, UntrustedError, is_untrusted
from maas_operator.fetch.files import Algorithm, Listing, RemoteFile

ENDPOINT = "https://huggingface.co"
MODEL_SCOPE_ENDPOINT = "https://www.modelscope.cn"
SECONDS = 60.0
"""That a hub may take to begin an answer."""
ANSWERED, BUSY, BROKEN = 200, 429, 500
NO_ACCESS = frozenset({401, 403})
_AS_IT_IS = {"Accept-Encoding": "identity"}
"""Bytes of a file are counted, and asked for from one on: nothing may be packed on the way."""


class HuggingFace:
    """A repository of Hugging Face, or of a mirror (HF_ENDPOINT), seen with the token HF_TOKEN where there is one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._token = os.environ.get("HF_TOKEN") or False
        self._endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
        self._api = HfApi(endpoint=self._endpoint, token=self._token)
        self._commit = ""

    def listing(self, revision: str) -> Listing:
        """The files of a commit."""
        wanted = revision or self._source.within or BRANCHES[Scheme.HUGGING_FACE]
        with _explained(self._source, self._endpoint, "HF_TOKEN"):
            found = self._api.model_info(self._source.name, revision=wanted, files_metadata=True, timeout=SECONDS)
        self._commit = found.sha or wanted
        return Listing(self._commit, tuple(_file(each) for each in found.siblings or ()))

    def append(self, file: RemoteFile, to: BinaryIO, at: int) -> None:
        """Write the file from this byte on."""
        url = hf_hub_url(self._source.name, file.path, revision=self._commit, endpoint=self._endpoint)
        with _explained(self._source, self._endpoint, "HF_TOKEN"):
            _get(url, file, to, at, f"Bearer {self._token}" if self._token else "")


class ModelScope:
    """A repository of ModelScope, or of a mirror (MODELSCOPE_ENDPOINT), seen with MODELSCOPE_API_TOKEN."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._token = os.environ.get("MODELSCOPE_API_TOKEN", "")
        self._endpoint = (os.environ.get("MODELSCOPE_ENDPOINT") or MODEL_SCOPE_ENDPOINT).rstrip("/")
        self._revision = ""

    def listing(self, revision: str) -> Listing:
        """The files of a branch, tag or commit."""
        self._revision = revision or self._source.within or BRANCHES[Scheme.MODEL_SCOPE]
        url = f"{self._endpoint}/api/v1/models/{self._source.name}/repo/files"
        query = {"Revision": self._revision, "Recursive": "True"}
        with _explained(self._source, self._endpoint, "MODELSCOPE_API_TOKEN"):
            answer = get_session().get(url, params=query, headers=self._headers(), timeout=SECONDS)
            answer.raise_for_status()
            said = answer.json()
        if said.get("Code", ANSWERED) != ANSWERED:
            raise _refused(self._source, self._endpoint, "MODELSCOPE_API_TOKEN", int(said["Code"]))
        files = (each for each in said["Data"]["Files"] if each.get("Type") != "tree")
        return Listing(
            self._revision,
            tuple(
                RemoteFile(path=each["Path"], size=each["Size"], algorithm=Algorithm.SHA256, checksum=each["Sha256"])
                for each in files
            ),
        )

    def append(self, file: RemoteFile, to: BinaryIO, at: int) -> None:
        """Write the file from this byte on."""
        url = (
            f"{self._endpoint}/api/v1/models/{self._source.name}/repo"
            f"?Revision={quote(self._revision, safe='')}&FilePath={quote(file.path, safe='')}"
        )
        with _explained(self._source, self._endpoint, "MODELSCOPE_API_TOKEN"):
            _get(url, file, to, at, self._headers().get("Authorization", ""))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}


def _file(found: Any) -> RemoteFile:
    """A file as Hugging Face lists it: of large ones the SHA-256 is known, of all others git's own."""
    if found.lfs:
        return RemoteFile(
            path=found.rfilename, size=found.lfs.size, algorithm=Algorithm.SHA256, checksum=found.lfs.sha256
        )
    return RemoteFile(path=found.rfilename, size=found.size, algorithm=Algorithm.GIT, checksum=found.blob_id)


def _get(url: str, file: RemoteFile, to: BinaryIO, at: int, authorization: str) -> None:
    headers = _AS_IT_IS | ({"Authorization": authorization} if authorization else {})
    # The library refuses larger ones by plain HTTP, where it knows how large they are; hubs do give them.
    size = file.size if file.size <= MAX_HTTP_DOWNLOAD_SIZE else None
    http_get(url, to, resume_size=at, headers=headers, expected_size=size, displayed_filename=file.path)


@contextmanager
def _explained(source: Source, endpoint: str, token: str) -> Iterator[None]:
    """Raise what goes wrong as what it means. The libraries' own words may have addresses that were signed."""
    try:
        yield
    except GatedRepoError as error:
        raise FetchError(
            f"{source.name} is gated: accept its terms at {endpoint}/{source.name}, and give the service a Secret with "
            f"{token} of who accepted them (spec.model.credentials)"
        ) from error
    except RevisionNotFoundError as error:
        raise FetchError(f"{source.name} has no revision {source.within} at {endpoint}") from error
    except (HfHubHTTPError, httpx2.HTTPStatusError) as error:
        raise _refused(source, endpoint, token, error.response.status_code) from error
    except httpx2.HTTPError as error:
        if is_untrusted(error):
            raise UntrustedError(endpoint) from error
        raise PassingError(f"{endpoint} cannot be reached: {type(error).__name__}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{endpoint} answers what cannot be read: is it {NAMES[source.scheme]}?") from error
    except OSError as error:
        if error.errno is not None:
            raise  # of the disk
        raise PassingError(f"{source.name} came incomplete from {endpoint}") from error


def _refused(source: Source, endpoint: str, token: str, status: int) -> FetchError:
    if status == BUSY or status >= BROKEN:
        return PassingError(f"{endpoint} answers {status}")
    known = "with the token given" if os.environ.get(token) else f"without a token ({token} in spec.model.credentials)"
    if status in NO_ACCESS:
        return FetchError(f"{endpoint} refuses {source.name} {known}: HTTP {status}")
    return FetchError(f"{endpoint} has no {source.name}, or does not show it {known}: HTTP {status}")
