"""A hub: the paths of Hugging Face and ModelScope that their clients ask, on a folder, and what goes wrong there."""

import hashlib
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

REPOSITORY = "acme/tiny"
COMMIT = "c0ffee" * 6 + "c0ff"
LARGE = 64 * 1024
"""Bytes from which a file is one of git LFS."""
PIECE = 64 * 1024
_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass
class Hub:
    """What it serves, how it behaves, and what it was asked."""

    folder: Path
    token: str = ""
    """The token without which it gives nothing: the repository is gated then."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """By file: the connection is cut after so many bytes, once."""
    lies: set[str] = field(default_factory=set)
    """Files of which other bytes come than the listing says."""
    stop_at: dict[str, int] = field(default_factory=dict)
    """By file: after so many bytes nothing more comes until `go_on` is set."""
    go_on: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    """It came to such a place."""
    asked: list[tuple[str, int]] = field(default_factory=list)
    """(file, from which byte on), in order."""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of each file that went out."""
    url: str = ""

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def hugging_face(self) -> dict[str, object]:
        """What /api/models/... answers with blobs=true."""
        siblings = []
        for path in self.files():
            content = path.read_bytes()
            found = {
                "rfilename": str(path.relative_to(self.folder)),
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest(),
            }
            if len(content) >= LARGE:
                digest = hashlib.sha256(content).hexdigest()
                found["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(found)
        return {"_id": "1", "id": REPOSITORY, "sha": COMMIT, "siblings": siblings}

    def model_scope(self) -> dict[str, object]:
        """What /api/v1/models/.../repo/files answers."""
        files: list[dict[str, object]] = [{"Path": "folder", "Type": "tree", "Size": 0}]
        for path in self.files():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            name = str(path.relative_to(self.folder))
            files.append({"Path": name, "Type": "blob", "Size": len(content), "Sha256": digest})
        return {"Code": 200, "Success": True, "Data": {"Files": files}}


@contextmanager
def served(folder: Path, address: str = "127.0.0.1", signed: tuple[Path, Path] | None = None) -> Iterator[Hub]:
    """A hub that has what lies in a folder. signed: the files of its certificate and key, where it speaks TLS."""
    hub = Hub(folder)

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    if signed:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*signed)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    hub.url = f"{'https' if signed else 'http'}://{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path, query = unquote(address.path), parse_qs(address.query)
        if self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            gated = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to it is restricted."}
            self._answer(401, b"{}", gated)
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            self._answer(200, json.dumps(self.hub.hugging_face()).encode())
        elif path == f"/api/v1/models/{REPOSITORY}/repo/files":
            self._answer(200, json.dumps(self.hub.model_scope()).encode())
        elif path == f"/api/v1/models/{REPOSITORY}/repo":
            self._file(query["FilePath"][0])
        elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
            self._file(path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/"))
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str) -> None:
        hub, content = self.hub, (self.hub.folder / name).read_bytes()
        if name in hub.lies:
            content = bytes(len(content))
        found = _RANGE.match(self.headers.get("Range", ""))
        begin = int(found[1]) if found else 0
        hub.asked.append((name, begin))
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        cut = hub.cut_after.pop(name, len(content))
        stop = hub.stop_at.pop(name, len(content))
        for at in range(begin, min(cut, len(content)), PIECE):
            if at >= stop:
                hub.stopped.set()
                hub.go_on.wait()
            piece = content[at : min(at + PIECE, cut)]
            try:
                self.wfile.write(piece)
            except OSError:
                break
            hub.sent[name] += len(piece)
        if cut < len(content):
            self.close_connection = True
