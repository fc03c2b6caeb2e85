"""S3, and what speaks like it: by the Rust object_store, which reads the usual variables (AWS_ACCESS_KEY_ID and so on)
and knows what cloud providers put beside a pod."""

import os
import re
from datetime import timedelta
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from maas_operator.api.sources import Source
from maas_operator.fetch.errors import FetchError, PassingError, UntrustedError, is_untrusted
from maas_operator.fetch.files import Algorithm, Listing, RemoteFile

SUMS = "SHA256SUMS"
"""A file beside the others, as sha256sum writes it: it counts more than ETags, which may be none."""
REQUEST_SECONDS = timedelta(days=1)
"""That a file may take; the library's own 30 s would end every large one."""
SILENCE_SECONDS = timedelta(seconds=60)
"""That may pass without a byte."""
PIECE = 4 * 1024 * 1024
"""Bytes that are written at a time."""
_ETAG = re.compile(r"^[0-9a-f]{32}(-[0-9]{1,5})?$")
_SUM = re.compile(r"^([0-9a-f]{64}) [ *](?:\./)?(.+)$")
_STATUS, _CODE = re.compile(r"status code: (\d{3})"), re.compile(r"<Code>(\w+)</Code>")
NO_ACCESS, PASSING = frozenset({401, 403}), frozenset({408, 429})
_OWN = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")  # fmt: skip
"""Variables one of which is set where there are credentials; where none is, the bucket is taken for public."""


class Bucket:
    """The objects under a prefix."""

    def __init__(self, source: Source) -> None:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        self._source = source
        self._called = f"bucket {source.name}" + (f" at {endpoint}" if endpoint else "")
        self._prefix = f"{source.within}/" if source.within else ""
        self._etags: dict[str, str] = {}
        try:
            self._store = S3Store(
                source.name,
                region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
                skip_signature=not any(os.environ.get(name) for name in _OWN),
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "timeout": REQUEST_SECONDS,
                    "read_timeout": SILENCE_SECONDS,
                },
            )
        except BaseError as error:
            words = str(error).partition("\n")[0]
            raise FetchError(f"the variables for {self._called} do not fit: {words}") from error

    def listing(self, revision: str) -> Listing:
        """What lies under the prefix now; a bucket has no revisions that could be asked for."""
        try:
            found = [each for page in self._store.list(self._source.within or None) for each in page]
            sums = self._sums(any(each["path"] == f"{self._prefix}{SUMS}" for each in found))
        except (BaseError, OSError) as error:
            raise self._explained(error, self._source.within) from error
        files = []
        for each in found:
            path = each["path"].removeprefix(self._prefix)
            if not path or path == SUMS or not each["path"].startswith(self._prefix):
                continue
            self._etags[path] = each["e_tag"] or ""
            files.append(self._file(path, each["size"], sums))
        if not files:
            raise FetchError(f"{self._called} has nothing under {self._source.within or 'its root'}")
        return Listing(revision, tuple(files))

    def append(self, file: RemoteFile, to: BinaryIO, at: int) -> None:
        """Write the file from this byte on, as long as it is the one that was listed."""
        if at == file.size:
            return
        try:
            options: obstore.GetOptions = {"range": {"offset": at}} if at else {}
            if self._etags[file.path]:
                options["if_match"] = self._etags[file.path]
            for piece in self._store.get(f"{self._prefix}{file.path}", options=options).stream(PIECE):
                to.write(piece)
        except BaseError as error:
            raise self._explained(error, file.path) from error

    def _file(self, path: str, size: int, sums: dict[str, str]) -> RemoteFile:
        if path in sums:
            return RemoteFile(path=path, size=size, algorithm=Algorithm.SHA256, checksum=sums[path])
        etag = self._etags[path].strip('"').lower()
        if not _ETAG.match(etag):
            raise FetchError(
                f"of {path} in {self._called} no checksum is known: put a {SUMS} beside the files (sha256sum)"
            )
        return RemoteFile(path=path, size=size, algorithm=Algorithm.ETAG, checksum=etag)

    def _sums(self, there: bool) -> dict[str, str]:
        if not there:
            return {}
        text = bytes(self._store.get(f"{self._prefix}{SUMS}").bytes()).decode(errors="replace")
        return {found[2]: found[1] for line in text.splitlines() if (found := _SUM.match(line))}

    def _explained(self, error: Exception, what: str) -> FetchError:
        """What an error means. Of the library's words only the status and S3's own code are told: the rest may have
        what was signed."""
        if isinstance(error, PreconditionError):
            return FetchError(f"{what} in {self._called} was changed while it was fetched")
        if is_untrusted(error):
            return UntrustedError(self._called)
        status, code = _STATUS.search(str(error)), _CODE.search(str(error))
        number, word = int(status[1]) if status else 0, code[1] if code else type(error).__name__
        told = f"HTTP {number} {word}" if number else word
        if number in NO_ACCESS:
            return FetchError(
                f"{self._called} refuses {what} ({told}): give the service a Secret with AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY of who may read it (spec.model.credentials)"
            )
        if isinstance(error, FileNotFoundError) or (400 <= number < 500 and number not in PASSING):
            return FetchError(f"{self._called} does not give {what}: {told}")
        return PassingError(f"{self._called} did not give {what}: {told}")
