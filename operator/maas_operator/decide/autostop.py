"""Auto-stop (M10): a service that has run for as long as its user allowed stops by itself, until it is started again.

Time counts while an instance answers. What has counted is written down every CHECKPOINT seconds, so a restart of the
operator loses none of it; a longer gap than LONGEST_GAP, in which no operator ran or by which a clock jumped, counts as
LONGEST_GAP, and a clock that goes back takes nothing away.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from maas_operator.api.durations import duration
from maas_operator.api.fields import digest
from maas_operator.api.modelservice import State
from maas_operator.api.names import ANNOTATION_START
from maas_operator.api.seen import Manifest
from maas_operator.api.times import written

CHECKPOINT = 600.0
"""Seconds after which what has counted is written down."""
LONGEST_GAP = 1200.0
"""Seconds that count at most between two looks."""
WARNED_BEFORE = 600.0
"""Seconds before its end at which a service's users are warned; a tenth of the limit where that is less."""


@dataclass(frozen=True, slots=True)
class AutoStop:
    """What auto-stop says of a service now."""

    status: Manifest | None
    """For status.autoStop; None: there is nothing to say."""
    stopped: bool
    warning: str | None = None
    """That it will stop soon, in a sentence."""
    look_again: float | None = None
    """Seconds until it is worth looking again."""


def auto_stop(service: Manifest, answering: bool, now: datetime) -> AutoStop:
    """Count, warn, or stop. answering: whether an instance of the service answers."""
    earlier: Manifest = service.get("status", {}).get("autoStop") or {}
    request = digest(service["metadata"].get("annotations", {}).get(ANNOTATION_START))
    asked_to_stop = service["spec"].get("state") == State.STOPPED
    if earlier.get("stoppedAt"):
        if request == earlier.get("startRequest") and not asked_to_stop:
            return AutoStop(earlier, stopped=True)
        earlier = {}
    limit = duration((service["spec"].get("autoStop") or {}).get("after"))
    if limit is None:
        return AutoStop(None, stopped=False)
    counted = float(earlier.get("countedSeconds", 0))
    since = _time(earlier.get("since"))
    if since is not None:
        counted += min(max((now - since).total_seconds(), 0.0), LONGEST_GAP)
    if counted >= limit:
        said = {"countedSeconds": int(counted), "stoppedAt": written(now), "startRequest": request}
        return AutoStop(said, stopped=True)
    if not answering or asked_to_stop:
        return AutoStop({"countedSeconds": int(counted)}, stopped=False)
    return _counting(earlier, counted, limit, now)


def _counting(earlier: Manifest, counted: float, limit: float, now: datetime) -> AutoStop:
    """While it runs: a checkpoint is moved on only now and then, so that nothing is written in between."""
    left = limit - counted
    ends = now + timedelta(seconds=left)
    since, shown = _time(earlier.get("since")), _time(earlier.get("stopsAt"))
    fresh = since is not None and since <= now and counted - earlier.get("countedSeconds", 0) < CHECKPOINT
    kept = fresh and shown is not None and abs((shown - ends).total_seconds()) <= 1
    status = earlier if kept else {"countedSeconds": int(counted), "since": written(now), "stopsAt": written(ends)}
    warn_at = min(WARNED_BEFORE, limit / 10)
    warning = None
    if left <= warn_at:
        warning = f"stops by itself at {status['stopsAt']}: spec.autoStop.after is reached then; raise it to go on"
    next_look = [left, CHECKPOINT] + ([left - warn_at] if left > warn_at else [])
    return AutoStop(status, stopped=False, warning=warning, look_again=max(1.0, min(next_look)))


def _time(text: str | None) -> datetime | None:
    """A time of the status; None where somebody has put something else there."""
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return time if time and time.tzinfo else None
