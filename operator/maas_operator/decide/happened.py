"""What happened to a ModelService, written into its status (M11), with whom to tell of it (M9).

It is written together with what it tells of, so an operator that dies has either noted both or neither; and what has
still to be told stays there until it was told, or given up.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from maas_operator.api.conditions import ConditionType, Phase, condition
from maas_operator.api.decision import Event
from maas_operator.api.events import MAX_EVENTS, MESSAGE_LENGTH, EventType, Happening, event_id
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.api.times import written
from maas_operator.decide.notified import targets
from maas_operator.decide.service import WORTH_TELLING

KEPT = 8
"""Events that a status keeps when everybody has been told."""
COMPLETED: Mapping[str, Happening] = {Phase.UPDATING: Happening.UPDATED, Phase.UPGRADING: Happening.UPGRADED}
"""What it comes to when all runs again after this phase."""
ASIDE = frozenset({Phase.ALARM, Phase.FAILED, *Happening} - set(COMPLETED.values()))
"""Reasons of events that end no roll-out: it may go on after them."""


def with_happened(seen: ServiceSeen, told: Sequence[Event], status: Manifest, now: datetime) -> Manifest:
    """The status as it is about to be written, with what happened since the one that was seen. told: the events that
    the decision tells."""
    earlier = seen.service.get("status", {})
    standing = [_settled(each, seen.settled or frozenset()) for each in earlier.get("events", ())]
    known = {_what(each) for each in standing}
    fresh: dict[str, Manifest] = {}
    for event in (*_phase(earlier, status), *_others(standing, told)):
        entry = _entry(seen, event, event.at or written(now))
        if _what(entry) not in known:
            fresh.setdefault(entry["id"], entry)
    events = _kept([*standing, *fresh.values()], told)
    return status | ({"events": events} if events else {})


def _phase(earlier: Manifest, status: Manifest) -> Iterable[Event]:
    """That a phase began, or that what is amiss in it is something else now."""
    before, now = earlier.get("phase"), Phase(status["phase"])
    ready = condition(status, ConditionType.READY)
    if before == now and (
        now not in WORTH_TELLING or condition(earlier, ConditionType.READY).get("reason") == ready.get("reason")
    ):
        return
    kind = EventType.WARNING if now in WORTH_TELLING else EventType.NORMAL
    reason = _came_to(earlier) if now == Phase.RUNNING else now
    yield Event(kind, reason, ready.get("message", ""))


def _came_to(earlier: Manifest) -> str:
    """What it is that a service runs now: a roll-out that is through, or just that."""
    for reason in (earlier.get("phase"), *(each["reason"] for each in reversed(earlier.get("events", ())))):
        if reason in COMPLETED:
            return COMPLETED[reason]
        if reason not in ASIDE:
            break
    return Phase.RUNNING


def _others(standing: Sequence[Manifest], told: Sequence[Event]) -> Iterable[Event]:
    """What the decision tells beside the phases, but for what stands there already."""
    words = {(each["reason"], each["message"]) for each in standing}
    for event in told:
        if event.reason in set(Phase):
            continue
        if event.at is not None or (event.reason, _message(event)) not in words:
            yield event


def _what(entry: Manifest) -> tuple[str, str, str]:
    """What happened. Not its id: an operator before this one may have made that otherwise."""
    return entry["reason"], entry["time"], entry["message"]


def _entry(seen: ServiceSeen, event: Event, time: str) -> Manifest:
    pending, message = targets(seen, event.reason), _message(event)
    return {
        "id": event_id(seen.service["metadata"]["uid"], str(event.reason), time, message),
        "time": time,
        "type": str(event.type),
        "reason": str(event.reason),
        "message": message,
        **({"pending": pending} if pending else {}),
    }


def _message(event: Event) -> str:
    """In letters that can be printed: an engine's last words may hold any, and PostgreSQL keeps no zero byte."""
    return "".join(each if each.isprintable() else " " for each in event.message[:MESSAGE_LENGTH])


def _settled(entry: Manifest, settled: frozenset[tuple[str, str]]) -> Manifest:
    """The entry without those who have been told."""
    left = [target for target in entry.get("pending", ()) if (entry["id"], target) not in settled]
    rest = {key: value for key, value in entry.items() if key != "pending"}
    return rest | ({"pending": left} if left else {})


def _kept(entries: Sequence[Manifest], told: Sequence[Event]) -> list[Manifest]:
    """The newest, those of which somebody has still to be told, and those that would otherwise be told anew."""
    still = {(event.reason, _message(event)) for event in told if event.at is None}
    oldest_kept = len(entries) - KEPT
    kept = [
        entry
        for index, entry in enumerate(entries)
        if index >= oldest_kept or entry.get("pending") or (entry["reason"], entry["message"]) in still
    ]
    return kept[-MAX_EVENTS:]
