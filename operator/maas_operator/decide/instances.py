"""What a service's pods say, taken together."""

from collections.abc import Sequence
from dataclasses import dataclass

from maas_operator.api.seen import Failure, PodSeen

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
    """They do not run, and the kubelet says why."""
    unplaced: tuple[PodSeen, ...]
    loading: int
    """They have a node, and no trouble yet."""
    leaving: int
    """They finish what they have."""

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


def look(pods: Sequence[PodSeen]) -> Instances:
    """Sort the pods."""
    present = [pod for pod in pods if pod.phase not in FINISHED]
    staying = tuple(pod for pod in present if not pod.leaving)
    ready = sum(pod.ready for pod in staying)
    failing = tuple(pod for pod in staying if not pod.ready and pod.failure)
    unplaced = tuple(pod for pod in staying if not pod.ready and not pod.failure and pod.node is None)
    return Instances(
        staying=staying,
        ready=ready,
        failing=failing,
        unplaced=unplaced,
        loading=len(staying) - ready - len(failing) - len(unplaced),
        leaving=len(present) - len(staying),
    )


def trouble(pod: PodSeen) -> str:
    """One pod's failure in a sentence: which pod, what, how often, the exit code, the engine's last words."""
    failure = pod.failure or Failure("Unknown")
    parts = [f"instance {pod.name}: {failure.reason}"]
    if failure.exit_code is not None:
        parts.append(f"exit code {failure.exit_code}")
    if failure.restarts:
        parts.append(f"{failure.restarts} restart{'s' if failure.restarts > 1 else ''}")
    sentence = ", ".join(parts)
    words = failure.message.strip()[-MESSAGE_KEPT:]
    return f"{sentence}: {words}" if words else sentence
