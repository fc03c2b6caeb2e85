"""What stands in Secrets: the URLs and the signing keys of channels. Read for each attempt, kept nowhere."""

import base64
import binascii
from http import HTTPStatus

import aiohttp

from maas_operator.act.answers import ApiError
from maas_operator.act.http import Http
from maas_operator.act.notifying.failure import Undeliverable
from maas_operator.api.seen import Manifest


async def value(http: Http, namespace: str, reference: Manifest) -> str:
    """The value under a key of a Secret. Raises Undeliverable."""
    name, key = reference["name"], reference["key"]
    try:
        secret = await http.read(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except ApiError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            raise Undeliverable(
                f"the operator may not read Secret {name} of namespace {namespace}: notifications.enabled=true in its "
                "chart lets it"
            ) from None
        raise Undeliverable(f"Secret {name} could not be read: HTTP status {error.status} of the API server") from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise Undeliverable(f"Secret {name} could not be read: the API server does not answer") from None
    if secret is None:
        raise Undeliverable(f"there is no Secret {name} in namespace {namespace}: make it, with the key {key}")
    data = secret.get("data") or {}
    if key not in data:
        raise Undeliverable(f"Secret {name} has no key {key}: add it, or name another in the topic")
    try:
        return base64.b64decode(data[key], validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        raise Undeliverable(f"key {key} of Secret {name} is no text") from None
