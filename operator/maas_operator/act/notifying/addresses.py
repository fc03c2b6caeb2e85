"""Which addresses messages may go to: those of the internet, and no others unless the administrator says so.

Who may write a topic could else have the operator call what only the cluster can reach: its services, its nodes, the
cloud's metadata. What counts is the address that a connection is really made to, so that a name that answers
differently the second time does not help, and neither does a redirect.
"""

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ADVICE = (
    "its address is not public: use one that the internet reaches, or have the administrator set "
    "notifications.allowPrivate=true in the operator's chart"
)
CLOUDS_OWN = (ipaddress.ip_network("168.63.129.16/32"), ipaddress.ip_network("192.0.0.0/24"))
"""Public by their numbers, and yet what clouds offer to their machines alone (Azure, Oracle)."""
NETWORKS_OWN = tuple(ipaddress.ip_network(each) for each in ("64:ff9b:1::/48", "::ffff:0:0:0/96", "fec0::/10"))
"""Public by their numbers for some Pythons, and what a network makes of them: local NAT64 (RFC 8215), SIIT (RFC 7915),
site-local."""
EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""IPv6 networks whose last four bytes are an IPv4 address: NAT64, and what was once IPv4-compatible."""
CONNECTING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class PrivateAddressError(OSError):
    """A connection to an address that is not public was about to be made."""

    def __init__(self) -> None:
        super().__init__(ADVICE)


def public(text: str) -> bool:
    """Whether this address is one of the internet's. What is no address is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and any(address in network for network in EMBEDDING):
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return public(str(inner))
    own = any(address in network for network in (*CLOUDS_OWN, *NETWORKS_OWN))
    return address.is_global and not address.is_multicast and not own


def public_socket(addr_info: Any) -> socket.socket:
    """A socket for this address, as aiohttp asks for one. Raises PrivateAddressError."""
    family, kind, protocol, _, address = addr_info
    if not public(address[0]):
        raise PrivateAddressError
    return socket.socket(family, kind, protocol)


class Guard:
    """Holds what a thread does to public addresses, whatever library does it there."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._installed = threading.Lock()
        self._watching = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within: a connection of this thread to any other address raises PrivateAddressError."""
        self._watch()
        self._here.held = True
        self._here.refused = False
        try:
            yield
        finally:
            self._here.held = False

    @property
    def refused(self) -> bool:
        """Whether a connection was refused in this thread since it was last held. Libraries swallow the error."""
        return getattr(self._here, "refused", False)

    def _watch(self) -> None:
        """An audit hook sees each connection of the process before it is made; it can never be taken away again."""
        with self._installed:
            if not self._watching:
                sys.addaudithook(self._audit)
                self._watching = True

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CONNECTING or not getattr(self._here, "held", False):
            return
        address = arguments[1]
        if not (isinstance(address, tuple) and public(str(address[0]))):
            self._here.refused = True
            raise PrivateAddressError
