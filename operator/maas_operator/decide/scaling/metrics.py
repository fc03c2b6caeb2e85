"""What the metrics of spec.scaling read of what was measured, and how many instances they ask for together."""

from collections.abc import Sequence
from dataclasses import dataclass

from maas_operator.api.scaling import MetricType, ScalingMetric
from maas_operator.api.seen import InstanceMeasured, Manifest, Measured, PodSeen
from maas_operator.decide.scaling.algorithm import Pods, Proposal, Tolerances, of_pods, of_service

MILLI = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric."""

    metric: ScalingMetric
    proposal: Proposal | None
    """None: it is not known."""
    whole: bool = True
    """False: a part of it is not known, so that it may be more than it seems."""

    @property
    def known(self) -> bool:
        """Whether instances may be removed upon it."""
        return self.proposal is not None and self.whole

    @property
    def average(self) -> str | None:
        """What it is on average over the instances, as a quantity."""
        return None if self.proposal is None else quantity(self.proposal.average)

    @property
    def manifest(self) -> Manifest:
        """As status.scaling.metrics has it."""
        shown = {"type": str(self.metric.type), "target": self.metric.target}
        return shown if self.average is None else shown | {"averageValue": self.average}


def quantity(milli: int) -> str:
    """Thousandths, as Kubernetes writes a quantity."""
    return f"{milli}m" if milli % MILLI else str(milli // MILLI)


def read(
    metrics: Sequence[ScalingMetric],
    measured: Measured,
    pods: Sequence[PodSeen],
    current: int,
    tolerances: Tolerances,
) -> list[Reading]:
    """Each metric. pods: those that stay. current: instances, 1 or more."""
    return [_reading(metric, measured, pods, current, tolerances) for metric in metrics]


def _reading(
    metric: ScalingMetric, measured: Measured, pods: Sequence[PodSeen], current: int, tolerances: Tolerances
) -> Reading:
    target = metric.target * MILLI
    if metric.type == MetricType.QPS:
        if measured.queries_per_second is None:
            return Reading(metric, None)
        usage = round(measured.queries_per_second * MILLI)
        return Reading(metric, of_service(usage, current, target, tolerances))
    told = _told(metric.type, measured, pods)
    if metric.type != MetricType.CONCURRENCY:
        return Reading(metric, of_pods(told, current, target, tolerances))
    held = (measured.held or 0) * MILLI
    proposal = of_pods(told, current, target, tolerances, beside=held) or _while_none_answers(held, current, target)
    return Reading(metric, proposal, whole=measured.held is not None)


def _while_none_answers(held: int, current: int, target: int) -> Proposal | None:
    """What requests ask for that wait in the gateway for the first instance: more, never less."""
    if not held:
        return None
    asked = of_service(held, current, target, Tolerances())
    return Proposal(max(current, asked.instances), asked.average)


def _told(kind: MetricType, measured: Measured, pods: Sequence[PodSeen]) -> Pods:
    """The pods' figures. As upstream's groupPods has it: a pod that is Pending is not there yet; one that runs and
    says nothing is missing."""
    waiting = [pod for pod in pods if pod.phase == "Pending"]
    running = [pod for pod in pods if pod.phase != "Pending"]
    answered = [measured.instances[pod.name] for pod in running if pod.name in measured.instances]
    figures = [_figure(kind, each) * MILLI for each in answered]
    return Pods(figures, missing=len(running) - len(answered), pending=len(waiting))


def _figure(kind: MetricType, instance: InstanceMeasured) -> int:
    match kind:
        case MetricType.QUEUE:
            return instance.waiting
        case MetricType.KV_CACHE:
            return instance.kv_cache
        case _:
            return instance.running + instance.waiting


@dataclass(frozen=True, slots=True)
class Asked:
    """What the metrics ask for together."""

    instances: int
    by: Reading
    """The metric that asks for most."""


def asked(readings: Sequence[Reading], current: int) -> Asked | None:
    """The largest proposal; None where nothing can be said. Fewer only where every metric is known.
    Upstream's computeReplicasForMetrics."""
    proposals = [(each.proposal.instances, each) for each in readings if each.proposal is not None]
    if not proposals:
        return None
    most, by = max(proposals, key=lambda pair: pair[0])
    if most < current and not all(each.known for each in readings):
        return None
    return Asked(most, by)
