"""How many instances a metric asks for: upstream's podautoscaler/replica_calculator.go (Kubernetes 1.36).

All amounts are thousandths, as upstream's milli-quantities; averages are cut off to whole thousandths, ratios are
floating-point numbers, and what is asked for is rounded up: each as upstream does it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far a metric may be off its target, as a part of it, without anything moving."""

    up: float = 0.1
    down: float = 0.1

    def hold(self, ratio: float) -> bool:
        """Whether a ratio of use to target moves nothing."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Pods:
    """What a service's pods said of a metric."""

    figures: Sequence[int]
    """Thousandths, of each pod that said any."""
    missing: int = 0
    """Pods that run and said none."""
    pending: int = 0
    """Pods that do not run yet."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a metric asks for."""

    instances: int
    average: int
    """What it is on average over the instances, in thousandths."""


def of_pods(pods: Pods, current: int, target: int, tolerances: Tolerances, beside: int = 0) -> Proposal | None:
    """Of a metric that the pods tell; None where none of them does. Upstream's calcPlainMetricReplicas.

    beside: what counts besides the pods' figures, in thousandths (requests that the gateway holds).
    """
    if not pods.figures:
        return None
    total, count = sum(pods.figures) + beside, len(pods.figures)
    average = total // count
    ratio = average / target
    up_with_pending = pods.pending > 0 and ratio > 1.0
    if not up_with_pending and not pods.missing:
        return Proposal(current if tolerances.hold(ratio) else math.ceil(ratio * count), average)
    if ratio < 1.0:  # downwards, who says nothing is taken to be at its target
        total += pods.missing * target
    if ratio != 1.0:  # upwards, to do nothing
        count += pods.missing
    if up_with_pending:
        count += pods.pending
    careful = (total // count) / target
    wanted = math.ceil(careful * count)
    turned = (ratio < 1.0 < careful) or (ratio > 1.0 > careful)
    overshot = (careful < 1.0 and wanted > current) or (careful > 1.0 and wanted < current)
    return Proposal(current if tolerances.hold(careful) or turned or overshot else wanted, average)


def of_service(usage: int, current: int, target: int, tolerances: Tolerances) -> Proposal:
    """Of a metric of the service as a whole, whose target is an average over the instances. current: 1 or more.
    Upstream's GetExternalPerPodMetricReplicas."""
    ratio = usage / (target * current)
    return Proposal(
        current if tolerances.hold(ratio) else math.ceil(usage / target),
        math.ceil(usage / current),
    )
