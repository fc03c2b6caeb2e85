"""Whether a sign of a request is the first of it: that it is held, a line on it while it is under way, its last line.
Pure.

The last line of a request that takes longer stands in two files, which are read at different times, and a request may
be held before either has one.
"""

from collections import OrderedDict

from maas_operator.gateway.access_log import PROGRESS_SECONDS

REMEMBERED_SECONDS = 30 * PROGRESS_SECONDS
"""After the last sign of a request it is forgotten. There is a line on it every PROGRESS_SECONDS while it lasts, which
is read later where the machine is busy. For 1,000 long requests a second this is some 5 MB."""


class Signs:
    """Requests of which there was a sign, and may be another. now: seconds that only grow."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()
        """When the last sign was seen, by the request's id, the oldest first."""

    def __len__(self) -> int:
        return len(self._seen)

    def is_first(self, request_id: str, now: float, last: bool = False) -> bool:
        """Whether there was none of this request before. last: no other will follow, so that nothing is kept of it."""
        first = request_id not in self._seen
        if not (first and last):
            self._keep(request_id, now)
        return first

    def again(self, request_id: str, now: float) -> None:
        """The request is still there; one of which there was no sign stays unknown."""
        if request_id in self._seen:
            self._keep(request_id, now)

    def _keep(self, request_id: str, now: float) -> None:
        self._seen[request_id] = now
        self._seen.move_to_end(request_id)
        while self._seen[oldest := next(iter(self._seen))] < now - REMEMBERED_SECONDS:
            del self._seen[oldest]
