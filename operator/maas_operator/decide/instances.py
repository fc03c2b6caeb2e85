"""What a service's pods say, taken together."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from maas_operator.api.conditions import Reason
from maas_operator.api.seen import Failure, NodeSeen, PodSeen

FINISHED = frozenset({"Succeeded", "Failed"})
"""Phases of pods that have ended: they hold no room, and another is made for each."""
MESSAGE_KEPT = 1024
"""Characters of the engine's last words that go into a condition."""


@dataclass(frozen=True, slots=True)
class Instances:
    """The pods of a service, sorted by what they do. Those that have ended are left out."""

    staying: tuple[PodSeen, ...]
    """Each of these is in one, and only one, of ready, failing, unplaced and loading."""
    ready: int
    failing: tuple[PodSeen, ...]
    """They do not run, and the kubelet says why; or their node is not ready."""
    unplaced: tuple[PodSeen, ...]
    loading: int
    """They have a node, and no trouble yet."""
    leaving: int
    """They finish what they have."""
    ended: tuple[PodSeen, ...]
    """They have ended in failure, and others are made for them: evicted, refused by their node."""

    @property
    def cut_off(self) -> bool:
        """Whether all that is amiss is with nodes: Kubernetes then makes the instances anew elsewhere."""
        return all(pod.failure is not None and pod.failure.reason == Reason.NODE_NOT_READY for pod in self.failing)

    @property
    def working(self) -> int:
        """Instances that answer, or come up: a change of the template would cost something."""
        return self.ready + self.loading

    @property
    def placed(self) -> int:
        """Instances that have a node."""
        return len(self.staying) - len(self.unplaced)

    @property
    def mixed(self) -> bool:
        """Whether they were made from more than one pod template."""
        return len({pod.template_hash for pod in self.staying}) > 1


def look(pods: Sequence[PodSeen], nodes: Iterable[NodeSeen] = ()) -> Instances:
    """Sort the pods. What leaves a node that is not ready is left out: it finishes nothing, and its room is no room.
    The hosts of an instance of several are taken together."""
    dead = {node.name for node in nodes if not node.ready}
    present = [pod for pod in pods if pod.phase not in FINISHED and not (pod.leaving and pod.node in dead)]
    whole = [_cut_off(pod) if pod.node in dead and not pod.ready and not pod.leaving else pod for pod in present]
    taken = _together(whole)
    staying = tuple(pod for pod in taken if not pod.leaving)
    going = {pod.group for pod in taken if pod.leaving}
    ready = sum(pod.ready for pod in staying)
    failing = tuple(pod for pod in staying if not pod.ready and pod.failure)
    unplaced = tuple(pod for pod in staying if not pod.ready and not pod.failure and pod.node is None)
    return Instances(
        staying=staying,
        ready=ready,
        failing=failing,
        unplaced=unplaced,
        loading=len(staying) - ready - len(failing) - len(unplaced),
        leaving=len(taken) - len(staying),
        ended=tuple(pod for pod in pods if pod.failure and _ended(pod, going)),
    )


def _ended(pod: PodSeen, going: Container[str | None]) -> bool:
    """Whether another one is made for it: of an instance of several hosts each whose engine has failed, since all of
    them are made anew for it, and not started again. going: instances of which not every host may be leaving yet."""
    if pod.group:
        return pod.leaving or (pod.group in going and not pod.ready)
    return pod.phase == "Failed" and not pod.leaving


def _together(pods: Sequence[PodSeen]) -> list[PodSeen]:
    """The pods, but of an instance of several hosts one that says how all of them are."""
    groups: dict[str, list[PodSeen]] = {}
    for pod in pods:
        if pod.group is not None:
            groups.setdefault(pod.group, []).append(pod)
    return [*(pod for pod in pods if pod.group is None), *map(_as_one, groups.values())]


def _as_one(hosts: Sequence[PodSeen]) -> PodSeen:
    """The leader, as its group is; where a host fails, that one. Workers that leave are those of a leader before, and
    without a leader all of them are to go."""
    there = [pod for pod in hosts if not pod.leaving]
    leader = next((pod for pod in there if pod.leads), None)
    if leader is None:
        return replace(next((pod for pod in hosts if pod.leads), hosts[0]), leaving=True)
    if any(not pod.ready and pod.failure for pod in there):
        return replace(next(pod for pod in there if not pod.ready and pod.failure), ready=False)
    waits = next((pod for pod in there if pod.node is None), None)
    return replace(leader, ready=False, node=None, unschedulable=waits.unschedulable) if waits else leader


def _cut_off(pod: PodSeen) -> PodSeen:
    return replace(pod, failure=Failure(Reason.NODE_NOT_READY, f"its node {pod.node} is not ready"))


def trouble(pod: PodSeen, kind: str = "instance") -> str:
    """One pod's failure in a sentence: which pod, what, why, the exit code, how often, when it is tried again, the
    engine's last words."""
    failure = pod.failure or Failure("Unknown")
    which = pod.name if pod.leads else f"{pod.group} (its host {pod.name})"
    parts = [f"{kind} {which}: {failure.reason}" + (f" on node {failure.node}" if failure.node else "")]
    if failure.image:
        parts.append(f"image {failure.image}")
    if failure.memory_limit:
        parts.append(f"killed because it used up its {failure.memory_limit} of memory")
    if failure.start_seconds is not None:
        parts.append(f"killed because it was not ready within {failure.start_seconds} s")
    if failure.exit_code is not None:
        parts.append(f"exit code {failure.exit_code}")
    if failure.restarts:
        parts.append(f"{failure.restarts} restart{'s' if failure.restarts > 1 else ''}")
    if failure.back_off:
        parts.append(f"next try within {failure.back_off}")
    sentence = ", ".join(parts)
    words = failure.message.strip()[-MESSAGE_KEPT:]
    return f"{sentence}: {words}" if words else sentence
