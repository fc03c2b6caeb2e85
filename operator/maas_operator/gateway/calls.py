"""Services that are called and have no instance, whether or not the call finds a place to be held."""

import asyncio

STANDS = 10.0
"""Seconds for which a call may wake its service: enough for the agent to see that it sleeps, and no more than the least
time without a request after which one falls asleep (sleepAfter). What could not be woken in them the operator wakes, by
what it measures."""


class Calls:
    """The calls, by the service's id: as many are kept as there are services. now: seconds that only grow."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        """Set when a service is called for which no call stands."""
        self._at: dict[str, float] = {}

    def note(self, service: str, now: float) -> None:
        """This service was called: all that might have refused the request has let it pass."""
        if service not in self._at:
            self.came.set()
        self._at[service] = now

    def standing(self, now: float) -> set[str]:
        """Services that were called a moment ago."""
        self._at = {service: at for service, at in self._at.items() if now - at < STANDS}
        return set(self._at)
