"""What a service's pods say, taken together."""

from collections.abc import Sequence
from dataclasses import dataclass

from maas_operator.api.seen import Failure, PodSeen

FAILING = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "OOMKilled",
        "Error",
        "ContainerCannotRun",
        "Evicted",
    }
)
"""Reasons, in the kubelet's words, with which an instance does not come up by waiting a little."""


@dataclass(frozen=True)
class Instances:
    """The pods of a service, sorted by what they do. Pods that are leaving count in present alone."""

    present: int
    ready: int
    loading: int
    """They have a node, and no trouble yet."""
    unplaced: tuple[PodSeen, ...]
    failing: tuple[PodSeen, ...]
    placed: int
    """They have a node: something runs that a change of the template would restart."""
    templates: int
    """How many pod templates they were made from."""


def look(pods: Sequence[PodSeen]) -> Instances:
    """Sort the pods."""
    staying = [pod for pod in pods if not pod.leaving and pod.phase not in {"Succeeded", "Failed"}]
    ready = [pod for pod in staying if pod.ready]
    failing = tuple(pod for pod in staying if not pod.ready and pod.failure and pod.failure.reason in FAILING)
    unplaced = tuple(pod for pod in staying if pod.node is None)
    return Instances(
        present=len(staying) + sum(pod.leaving for pod in pods),
        ready=len(ready),
        loading=len(staying) - len(ready) - len(failing) - len(unplaced),
        unplaced=unplaced,
        failing=failing,
        placed=len(staying) - len(unplaced),
        templates=len({pod.template_hash for pod in staying}),
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


MESSAGE_KEPT = 1024
"""Characters of the engine's last words that go into a condition."""
