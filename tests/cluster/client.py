"""A client of the API server for the cluster's own few requests."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from tests.cluster.errors import ClusterError

TIMEOUT_SECONDS = 30
MERGE_PATCH = "application/merge-patch+json"


class RequestError(ClusterError):
    """The API server refused, with its HTTP status and message."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{method} {path}: {status} {message}")


class Client:
    """One connection, opened again when it was lost; not for several threads at once."""

    def __init__(self, host: str, port: int, authority: Path, certificate: Path, key: Path) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(certificate, key)
        self._connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)

    def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json", **query: str
    ) -> dict[str, Any]:
        """Return the decoded answer. Raises RequestError where refused, ClusterError where nobody answers."""
        try:
            status, text = self._exchange(method, path + ("?" + urlencode(query) if query else ""), body, content_type)
        except (OSError, http.client.HTTPException) as error:
            raise ClusterError(f"{method} {path}: the API server does not answer ({error!r})") from error
        if status >= 400:
            raise RequestError(method, path, status, text)
        return cast(dict[str, Any], json.loads(text))

    def answers(self, path: str) -> bool:
        """Whether the path answers 200 now."""
        try:
            return self._exchange("GET", path, None, "")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def close(self) -> None:
        self._connection.close()

    def _exchange(self, method: str, path: str, body: object, content_type: str) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data else {}
        try:
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
