"""Channels that apprise speaks: chat, mail, SMS and some hundred services more.

apprise is loaded when the first such message is sent. It speaks to its services by libraries of its own, in threads;
what it and they log is dropped, since their words hold URLs. A URL may not have it read files of the operator's, nor
fetch any: templates and key files are not taken.
"""

import asyncio
import logging
import threading
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from maas_operator.act.notifying.addresses import Guard, PrivateAddressError
from maas_operator.act.notifying.failure import Undeliverable
from maas_operator.act.notifying.message import Message, words
from maas_operator.api.events import EventType

if TYPE_CHECKING:
    from apprise import NotifyBase

AT_ONCE = 32
"""Messages under way by apprise at a time."""
OF_ACCOUNT = 2
"""Of them for one account, so that one whose services hang holds up no other."""
SECONDS = 30.0
"""For one attempt. Its thread may take longer, and counts among those at once until it ends."""
SILENCE = 0.5
"""How long a service may be silent, as a part of that, whatever its URL asks for."""
FILES = ("file", "http", "https")
"""What apprise could read templates and keys from."""

_loading = threading.Lock()


class Chat:
    """Sends by apprise."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._threads = ThreadPoolExecutor(AT_ONCE, "apprise")
        self._guard = Guard()
        self._silent = threading.local()
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def close(self) -> None:
        """Start no further message."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, account: str, url: str, message: Message) -> None:
        """Deliver a message of an account. Raises Undeliverable."""
        place = self._places.setdefault(account, asyncio.Semaphore(OF_ACCOUNT))
        await place.acquire()
        loop = asyncio.get_running_loop()

        def ended(_: "Future[None]") -> None:
            with suppress(RuntimeError):  # the loop has ended before the thread
                loop.call_soon_threadsafe(place.release)

        sending = self._threads.submit(self._send, url, message)
        sending.add_done_callback(ended)
        try:
            await asyncio.wait_for(asyncio.wrap_future(sending), SECONDS)
        except TimeoutError:
            raise Undeliverable(f"apprise was not through within {SECONDS:g} s") from None

    def _send(self, url: str, message: Message) -> None:
        self._silent.now = True
        try:
            service = self._service(url)
            title, text = words(message)
            kind = "warning" if message.type == EventType.WARNING else "info"
            if self._allow_private:
                delivered = service.notify(body=text, title=title, notify_type=kind)
            else:
                with self._guard.held():
                    delivered = service.notify(body=text, title=title, notify_type=kind)
        except Undeliverable:
            raise
        except Exception as error:  # whatever a service's module raises: its words may hold the URL
            refused = isinstance(error, PrivateAddressError) or self._guard.refused
            said = str(PrivateAddressError()) if refused else f"apprise failed ({type(error).__name__})"
            raise Undeliverable(said) from None
        finally:
            self._silent.now = False
        if not delivered:
            refused = not self._allow_private and self._guard.refused
            raise Undeliverable(
                str(PrivateAddressError()) if refused else "the service did not take it, or did not answer"
            )

    def _service(self, url: str) -> "NotifyBase":
        with _loading:
            import apprise  # noqa: PLC0415 of its hundred services most installations use none
            from apprise.manager_attachment import AttachmentManager  # noqa: PLC0415

            readers: Any = AttachmentManager
            readers().remove(*FILES, unload=False)
        self._silence()
        service = apprise.Apprise.instantiate(url)
        if service is None:
            raise Undeliverable(
                "what the Secret holds is no URL that apprise knows, or it names a file (template=, keyfile=), which "
                "the operator reads for nobody: see apprise's documentation"
            )
        service.socket_connect_timeout = min(service.socket_connect_timeout, SILENCE * SECONDS)
        service.socket_read_timeout = min(service.socket_read_timeout, SILENCE * SECONDS)
        return service

    def _silence(self) -> None:
        """What is logged or warned of in a thread of ours goes nowhere."""
        warnings.filterwarnings("ignore", module="urllib3")
        for handler in logging.getLogger().handlers:
            if self._unheard not in handler.filters:
                handler.addFilter(self._unheard)

    def _unheard(self, _: logging.LogRecord) -> bool:
        return not getattr(self._silent, "now", False)
