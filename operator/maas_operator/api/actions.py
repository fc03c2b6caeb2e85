"""What people may do with a service in which state (M13 to M15). The CLI keeps to it, as does the chart's policy."""

from collections.abc import Mapping
from enum import StrEnum

from maas_operator.api.conditions import Phase


class Action(StrEnum):
    """What is done to a service, by the words of `kubectl maas`."""

    START = "start"
    STOP = "stop"
    SCALE = "scale"
    QPS = "qps"
    UPGRADE = "upgrade"
    DELETE = "delete"


SERVING = frozenset({Phase.RUNNING, Phase.ALARM})
FITS: Mapping[Action, frozenset[Phase]] = {
    Action.START: frozenset({Phase.FAILED, Phase.STOPPED}),
    Action.STOP: frozenset({Phase.QUEUING, Phase.STARTING, Phase.RUNNING, Phase.DEPLOYING, Phase.ALARM}),
    Action.SCALE: SERVING,
    Action.QPS: SERVING,
    Action.UPGRADE: SERVING,
    Action.DELETE: frozenset(Phase),
}
"""The states in which an action fits."""
CORRECTIONS = frozenset({Action.SCALE, Action.QPS, Action.UPGRADE})
"""What may be done in any state to a service whose spec is not accepted: so it is put right (M8)."""


def fitting(phase: Phase, accepted: bool, asleep: bool = False) -> tuple[Action, ...]:
    """The actions that fit a state. accepted: whether the spec can be carried out; asleep: start wakes it."""
    corrections = frozenset() if accepted else CORRECTIONS
    also = corrections | ({Action.START} if asleep else frozenset())
    return tuple(each for each in Action if phase in FITS[each] or each in also)


def refusal(name: str, action: Action, phase: Phase, accepted: bool, asleep: bool = False) -> str | None:
    """Why an action does not fit: the state, and the actions that do; None where it fits."""
    fits = fitting(phase, accepted, asleep)
    if action in fits:
        return None
    states = ", ".join(each for each in Phase if each in FITS[action])
    return f"service {name} is {phase}: {action} fits {states}; what fits {phase}: {', '.join(fits)}"
