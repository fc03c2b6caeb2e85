"""One attempt to deliver one message on one channel."""

from collections.abc import Callable

import structlog

from maas_operator.act.http import Http
from maas_operator.act.notifying import secrets
from maas_operator.act.notifying.chat import Chat
from maas_operator.act.notifying.failure import NoLongerWanted, Undeliverable
from maas_operator.act.notifying.message import Message
from maas_operator.act.notifying.webhook import Webhooks
from maas_operator.api.seen import Manifest
from maas_operator.api.settings import NotificationSettings

OFF = "this operator sends no notifications: notifications.enabled=true in its chart turns them on"
Topics = Callable[[str, str], Manifest | None]
"""(namespace, name) -> the NotificationTopic, as it stands now."""

log = structlog.get_logger()


class Channels:
    """Webhooks and apprise, behind the channels that topics name."""

    def __init__(self, http: Http, topics: Topics, settings: NotificationSettings) -> None:
        self._http = http
        self._topics = topics
        self._enabled = settings.enabled
        self._webhooks = Webhooks(settings.allow_private)
        self._chat = Chat(settings.allow_private)

    async def close(self) -> None:
        """End all connections."""
        self._chat.close()
        await self._webhooks.close()

    async def attempt(self, namespace: str, topic: str, name: str, message: Message) -> None:
        """Deliver a message. Raises Undeliverable, or NoLongerWanted where the topic has no such channel any more."""
        if not self._enabled:
            raise Undeliverable(OFF)
        manifest = self._topics(namespace, topic)
        channels = manifest["spec"]["channels"] if manifest else []
        channel = next((each for each in channels if each["name"] == name), None)
        if channel is None:
            raise NoLongerWanted
        try:
            await self._send(namespace, channel, message)
        except Undeliverable:
            raise
        except Exception as error:  # a mistake of ours: its words may hold a URL, and it stops nothing else
            log.error("an attempt to notify failed", error=type(error).__name__)  # noqa: TRY400
            raise Undeliverable(f"the operator failed at it ({type(error).__name__})") from None

    async def _send(self, namespace: str, channel: Manifest, message: Message) -> None:
        if "webhook" in channel:
            url = await secrets.value(self._http, namespace, channel["webhook"]["urlFrom"])
            key = await secrets.value(self._http, namespace, channel["webhook"]["signingKeyFrom"])
            await self._webhooks.send(url, key, message)
        else:
            url = await secrets.value(self._http, namespace, channel["apprise"]["urlFrom"])
            await self._chat.send(namespace, url, message)
