"""Auto-stop (M10): a service that has run for as long as its user allowed, or has had no request for so long, stops by
itself until it is started again.

Time counts while an instance answers. What has counted is written down every CHECKPOINT seconds, so a restart of the
operator loses none of it; a longer gap than LONGEST_GAP, in which no operator ran or by which a clock jumped, counts as
LONGEST_GAP, and a clock that goes back takes nothing away. Since when there was no request follows from what the
gateways know, and is written down once it has gone on for a while: requests that come and go write nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from maas_operator.api.durations import duration
from maas_operator.api.modelservice import State
from maas_operator.api.seen import Manifest
from maas_operator.api.times import moment, written
from maas_operator.decide.idle import Idle
from maas_operator.decide.scaling.sleep import start_asked, start_request

CHECKPOINT = 600.0
"""Seconds after which what has counted is written down."""
LONGEST_GAP = 1200.0
"""Seconds that count at most between two looks."""
WARNED_BEFORE = 600.0
"""Seconds before its end at which a service's users are warned; a tenth of the limit where that is less."""
SHOWN_AFTER = 600.0
"""Seconds without a request after which that is shown; a tenth of the limit where that is less."""


@dataclass(frozen=True, slots=True)
class AutoStop:
    """What auto-stop says of a service now."""

    status: Manifest | None
    """For status.autoStop; None: there is nothing to say."""
    why_stopped: str | None = None
    """Why it is stopped, in a sentence; None: it is not."""
    warning: str | None = None
    """That it will stop soon, in a sentence."""
    look_again: float | None = None
    """Seconds until it is worth looking again."""

    @property
    def stopped(self) -> bool:
        """Whether it is stopped."""
        return self.why_stopped is not None


@dataclass(frozen=True, slots=True)
class _Clock:
    """One of the two times, running down."""

    status: Manifest
    """What it has to say in status.autoStop, when it ends among it if it runs."""
    field: str
    limit: float
    left: float | None = None
    """Seconds; None: it does not run now."""
    looks: tuple[float, ...] = ()
    """Seconds until it is worth looking again."""

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.left is not None and self.left <= 0


def auto_stop(service: Manifest, answering: bool, idle: Idle | None, now: datetime) -> AutoStop:
    """Count, warn, or stop. answering: whether an instance of the service answers; idle: since when it has had no
    request, None where that is not known now."""
    earlier: Manifest = service.get("status", {}).get("autoStop") or {}
    request = start_request(service)
    asked_to_stop = service["spec"].get("state") == State.STOPPED
    if earlier.get("stoppedAt"):
        if not asked_to_stop and (request == earlier.get("startRequest") or not start_asked(service)):
            return AutoStop(
                earlier, why_stopped=_why("autoStop.afterIdle" if "idleSince" in earlier else "autoStop.after")
            )
        earlier = {}
    spec = service["spec"].get("autoStop") or {}
    runs = answering and not asked_to_stop
    clocks = [_running(earlier, duration(spec.get("after")), runs, now)]
    clocks.append(None if asked_to_stop else _without_requests(earlier, duration(spec.get("afterIdle")), idle, now))
    return _sooner(earlier, [clock for clock in clocks if clock], request, now)


def _sooner(earlier: Manifest, clocks: list[_Clock], request: str, now: datetime) -> AutoStop:
    """What the two say together: the one that ends first counts."""
    if not clocks:
        return AutoStop(None)
    if over := next((clock for clock in clocks if clock.over), None):
        kept = {key: value for key, value in over.status.items() if key in {"countedSeconds", "idleSince"}}
        said = kept | {"stoppedAt": written(now), "startRequest": request}
        return AutoStop(said, why_stopped=_why(over.field))
    running = [clock for clock in clocks if clock.left is not None]
    status = {key: value for clock in clocks for key, value in clock.status.items() if key != "stopsAt"}
    if not running:
        return AutoStop(status or None)
    first = min(running, key=lambda clock: clock.left or 0.0)
    status["stopsAt"] = first.status["stopsAt"]
    return AutoStop(
        earlier if status == earlier else status,
        warning=_warning(first),
        look_again=max(1.0, min(look for clock in running for look in clock.looks)),
    )


def _why(field: str) -> str:
    return f"spec.{field} was reached: kubectl maas start starts it again"


def _warning(clock: _Clock) -> str | None:
    if clock.left is None or clock.left > _warned_before(clock.limit):
        return None
    ends = clock.status["stopsAt"]
    if clock.field == "autoStop.afterIdle":
        return f"stops by itself at {ends}, after spec.autoStop.afterIdle without a request; any request puts it off"
    return f"stops by itself at {ends}: spec.autoStop.after is reached then; raise it to go on"


def _warned_before(limit: float) -> float:
    return min(WARNED_BEFORE, limit / 10)


def _running(earlier: Manifest, limit: float | None, runs: bool, now: datetime) -> _Clock | None:
    """spec.autoStop.after."""
    field = "autoStop.after"
    if limit is None:
        return None
    before = float(earlier.get("countedSeconds", 0))
    since = moment(earlier.get("since"))
    counted = before
    if since is not None:
        counted += min(max((now - since).total_seconds(), 0.0), LONGEST_GAP)
    if counted >= limit:
        return _Clock({"countedSeconds": int(counted)}, field, limit, left=0.0)
    if not runs:
        return _Clock({"countedSeconds": int(counted)}, field, limit)
    left = limit - counted
    ends = now + timedelta(seconds=left)
    # A checkpoint is moved on only now and then, so that nothing is written in between.
    fresh = since is not None and since <= now and counted - before < CHECKPOINT
    status = {"countedSeconds": int(before), "since": written(since)} if fresh and since else {}
    status = status or {"countedSeconds": int(counted), "since": written(now)}
    status["stopsAt"] = _near(earlier.get("stopsAt"), ends)
    return _Clock(status, field, limit, left, (CHECKPOINT, *_looks(left, limit)))


def _without_requests(earlier: Manifest, limit: float | None, idle: Idle | None, now: datetime) -> _Clock | None:
    """spec.autoStop.afterIdle."""
    field = "autoStop.afterIdle"
    if limit is None:
        return None
    if idle is None:  # not known now: what is shown stays, and nothing stops upon it
        since = moment(earlier.get("idleSince"))
        if since is None:
            return None
        ends = since + timedelta(seconds=limit)
        status = {"idleSince": written(since), "stopsAt": written(ends)}
        return _Clock(status, field, limit, max((ends - now).total_seconds(), 1.0), (CHECKPOINT,))
    if idle.seconds < min(SHOWN_AFTER, limit / 10):
        return None
    status = {"idleSince": _near(earlier.get("idleSince"), idle.since)}
    status["stopsAt"] = written(idle.since + timedelta(seconds=limit))
    left = limit - idle.seconds
    # While it is awake each measurement has it decided on anyway.
    return _Clock(status, field, limit, left, _looks(left, limit) if idle.until >= now else (CHECKPOINT,))


def _looks(left: float, limit: float) -> tuple[float, ...]:
    warn_in = left - _warned_before(limit)
    return (left, warn_in) if warn_in > 0 else (left,)


def _near(shown: str | None, time: datetime) -> str:
    """What is shown already, where it is the same but for the second that was cut off."""
    before = moment(shown)
    if shown is not None and before is not None and abs((before - time).total_seconds()) <= 1:
        return shown
    return written(time)
