"""A webhook: a CloudEvent by POST, signed as Standard Webhooks says (standardwebhooks.com)."""

import base64
import binascii
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from standardwebhooks import Webhook
from yarl import URL

from maas_operator.act.notifying.addresses import PrivateAddressError, public_socket
from maas_operator.act.notifying.failure import Undeliverable
from maas_operator.act.notifying.message import Message, cloud_event
from maas_operator.act.notifying.resolving import Resolver

SECONDS = 15.0
"""For one attempt, the answer's head included."""
KEY_PREFIX = "whsec_"
KEY_BYTES = range(24, 65)
"""As Standard Webhooks asks."""
USER_AGENT = "maas-operator"
NO_URL = "what the Secret holds is no URL: write https://HOST/PATH"

_TIMEOUT = aiohttp.ClientTimeout(total=SECONDS)


class Webhooks:
    """Sends by HTTP."""

    def __init__(self, allow_private: bool) -> None:
        self._resolver = Resolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, resolver=self._resolver, socket_factory=None if allow_private else public_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_TIMEOUT,
        )

    async def close(self) -> None:
        """End the session."""
        await self._session.close()
        await self._resolver.close()

    async def send(self, url: str, key: str, message: Message) -> None:
        """Deliver a message. Raises Undeliverable."""
        target = _target(url)
        headers, body = cloud_event(message)
        headers |= _signature(key, message.id, body) | {"User-Agent": USER_AGENT}
        try:
            async with self._session.post(target, data=body, headers=headers, allow_redirects=False) as answer:
                status, asked = answer.status, answer.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Undeliverable(_words(error)) from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise _refused(status, asked)


def _target(url: str) -> URL:
    try:
        target = URL(url)
        usable = target.scheme in {"http", "https"} and bool(target.host)
    except ValueError:
        usable = False
    if not usable:
        raise Undeliverable(NO_URL)
    return target


def _signature(key: str, id_: str, body: bytes) -> dict[str, str]:
    """The three headers."""
    try:
        secret = base64.b64decode(key.removeprefix(KEY_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not key.startswith(KEY_PREFIX) or len(secret) not in KEY_BYTES:
        raise Undeliverable(
            f"what the Secret holds is no signing key: write {KEY_PREFIX} and {KEY_BYTES.start} to "
            f"{KEY_BYTES.stop - 1} random bytes in base64"
        )
    now = datetime.now(UTC)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(id_, now, body.decode()),
    }


def _refused(status: int, asked: str | None) -> Undeliverable:
    """What an answer that is no success means."""
    if status == HTTPStatus.GONE:
        return Undeliverable("it answers 410: it wants no more messages; take the channel out of the topic", final=True)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Undeliverable(f"it answers {status}: redirects are not followed; put into the Secret where it leads")
    return Undeliverable(f"it answers {status}", retry_after=_seconds(asked))


def _seconds(asked: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if asked is None:
        return None
    if asked.isdecimal():
        return float(asked[:9])
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _words(error: Exception) -> str:
    """What went wrong, by its kind alone: the error itself may hold the URL."""
    kinds = [type(each) for each in _causes(error)]
    if any(issubclass(kind, PrivateAddressError) for kind in kinds):
        return str(PrivateAddressError())
    if isinstance(error, ValueError):
        return NO_URL
    if isinstance(error, TimeoutError):
        return f"it did not answer within {SECONDS:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the URL's host name cannot be resolved"
    if any(issubclass(kind, ssl.CertificateError) for kind in kinds):
        return "its TLS certificate is not valid for the URL's host"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or 'refused'}"
    return f"the request failed ({type(error).__name__})"


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "os_error", None) or error.__cause__
