"""What each metric asks for, as upstream's own unit tests have it: pkg/controller/podautoscaler of Kubernetes 1.36.

Rows bear the names of upstream's tests. Amounts are thousandths, as there. Utilizations of a request are written as
thousandths of a request of 1; those are left out in which upstream takes a missing pod for a full request, since our
targets are absolute and a missing pod is then taken to be at its target.
"""

import pytest

from maas_operator.decide.scaling.algorithm import Pods, Tolerances, of_pods, of_service

USUAL = Tolerances()
FINE_UP = Tolerances(up=0.01, down=0.1)

PODS = {
    # name: (pods, instances now, target, tolerances, instances asked for, average)
    "TestReplicaCalcScaleUpCM": (Pods([20000, 10000, 30000]), 3, 15000, USUAL, 4, 20000),
    "TestReplicaCalcScaleUpCMUnreadyHotCpuNoLessScale": (Pods([50000, 10000, 30000]), 3, 15000, USUAL, 6, 30000),
    "TestReplicaCalcScaleUpCMUnreadyHotCpuScaleWouldScaleDown": (
        Pods([50000, 15000, 30000]), 3, 15000, USUAL, 7, 31666,
    ),
    "TestReplicaCalcScaleUpCMExternal": (Pods([8600]), 1, 4400, USUAL, 2, 8600),
    "TestReplicaCalcScaleDownCM": (Pods([12000] * 5), 5, 20000, USUAL, 3, 12000),
    "TestReplicaCalcToleranceCM": (Pods([20000, 21000, 21000]), 3, 20000, USUAL, 3, 20666),
    "TestReplicaCalcConfigurableToleranceCM": (Pods([20000, 21000, 21000]), 3, 20000, FINE_UP, 4, 20666),
    "TestPlainMetricReplicaCalcMissingMetricsNoChangeEq": (
        Pods([20000, 19000, 21000], missing=2), 5, 20000, USUAL, 5, 20000,
    ),
    "TestReplicaCalcDuringRollingUpdateWithMaxSurgeCM": (Pods([10000, 10000], missing=1), 2, 17000, USUAL, 2, 10000),
    "TestReplicaCalcScaleUp": (Pods([300, 500, 700]), 3, 300, USUAL, 5, 500),
    "TestReplicaCalcScaleUpUnreadyLessScale": (Pods([500, 700], pending=1), 3, 300, USUAL, 4, 600),
    "TestReplicaCalcScaleUpHotCpuLessScale": (Pods([500, 700], pending=1), 3, 300, USUAL, 4, 600),
    "TestReplicaCalcScaleUpUnreadyNoScale": (Pods([400], pending=2), 3, 400, USUAL, 3, 400),
    "TestReplicaCalcScaleHotCpuNoScale": (Pods([400], pending=2), 3, 400, USUAL, 3, 400),
    "TestReplicaCalcScaleUpIgnoresFailedPods": (Pods([500, 700]), 2, 300, USUAL, 4, 600),
    "TestReplicaCalcScaleUpIgnoresDeletionPods": (Pods([500, 700]), 2, 300, USUAL, 4, 600),
    "TestReplicaCalcScaleDown": (Pods([100, 300, 500, 250, 250]), 5, 500, USUAL, 3, 280),
    "TestReplicaCalcScaleDownExcludeUnreadyPods": (Pods([100, 300, 500], pending=2), 5, 500, USUAL, 2, 300),
    "TestReplicaCalcScaleDownExcludeUnscheduledPods": (Pods([100], pending=4), 5, 500, USUAL, 1, 100),
    "TestReplicaCalcTolerance": (Pods([1010, 1030, 1020]), 3, 1000, USUAL, 3, 1020),
    "TestReplicaCalcMissingMetricsNoChangeEq": (Pods([1000], missing=1), 2, 1000, USUAL, 2, 1000),
    "TestReplicaCalcMissingMetricsNoChangeGt": (Pods([1900], missing=1), 2, 1000, USUAL, 2, 1900),
    "TestReplicaCalcMissingMetricsNoChangeLt": (Pods([600], missing=1), 2, 1000, USUAL, 2, 600),
    "TestReplicaCalcMissingMetricsUnreadyChange": (Pods([450], missing=1, pending=1), 3, 500, USUAL, 3, 450),
    "TestReplicaCalcMissingMetricsHotCpuNoChange": (Pods([450], missing=1, pending=1), 3, 500, USUAL, 3, 450),
    "TestReplicaCalcMissingMetricsUnreadyScaleUp": (Pods([2000], missing=1, pending=1), 3, 500, USUAL, 4, 2000),
    "TestReplicaCalcMissingMetricsHotCpuScaleUp": (Pods([2000], missing=1, pending=1), 3, 500, USUAL, 4, 2000),
    "TestReplicaCalcDuringRollingUpdateWithMaxSurge": (Pods([100, 100], missing=1), 2, 500, USUAL, 2, 100),
}  # fmt: skip

SERVICE = {
    # name: (usage, instances now, target, tolerances, instances asked for, average)
    "TestReplicaCalcScaleUpCMPerPodObject": (20000, 3, 5000, USUAL, 4, 6667),
    "TestReplicaCalcScaleUpPerPodCMExternal": (8600, 3, 2150, USUAL, 4, 2867),
    "TestReplicaCalcScaleDownPerPodCMObject": (6000, 5, 2000, USUAL, 3, 1200),
    "TestReplicaCalcScaleDownPerPodCMExternal": (8600, 5, 2867, USUAL, 3, 1720),
    "TestReplicaCalcTolerancePerPodCMObject": (20166, 4, 5000, USUAL, 4, 5042),
    "TestReplicaCalcTolerancePerPodCMExternal": (8600, 3, 2900, USUAL, 3, 2867),
    "TestReplicaCalcConfigurableTolerancePerPodCMObject": (20208, 4, 5000, FINE_UP, 5, 5052),
    "TestReplicaCalcConfigurableTolerancePerPodCMExternal": (8600, 3, 2800, FINE_UP, 4, 2867),
}


@pytest.mark.parametrize(
    ("pods", "current", "target", "tolerances", "asked", "average"), PODS.values(), ids=PODS.keys()
)
def test_a_metric_of_the_pods(
    pods: Pods, current: int, target: int, tolerances: Tolerances, asked: int, average: int
) -> None:
    proposal = of_pods(pods, current, target, tolerances)
    assert proposal is not None
    assert (proposal.instances, proposal.average) == (asked, average)


def test_replica_calc_empty_metrics() -> None:
    """TestReplicaCalcEmptyMetrics: without any figure nothing is asked for."""
    assert of_pods(Pods([], missing=3), 4, 1000, USUAL) is None


@pytest.mark.parametrize(
    ("usage", "current", "target", "tolerances", "asked", "average"), SERVICE.values(), ids=SERVICE.keys()
)
def test_a_metric_of_the_service(
    usage: int, current: int, target: int, tolerances: Tolerances, asked: int, average: int
) -> None:
    proposal = of_service(usage, current, target, tolerances)
    assert (proposal.instances, proposal.average) == (asked, average)


@pytest.mark.parametrize(
    ("held", "asked"), [(0, 2), (2000, 2), (8000, 3), (40000, 6)], ids=["none", "few", "some", "many"]
)
def test_what_the_gateway_holds_counts_beside_what_the_pods_have(held: int, asked: int) -> None:
    proposal = of_pods(Pods([10000, 10000]), 2, 10000, USUAL, beside=held)
    assert proposal is not None
    assert proposal.instances == asked


@pytest.mark.parametrize(
    ("pods", "current"),
    [(Pods([1900], pending=1), 1), (Pods([1900], missing=3), 4)],
    ids=["a pending pod takes its share", "too few tell to go down on a sign to go up"],
)
def test_what_would_turn_the_direction_moves_nothing(pods: Pods, current: int) -> None:
    proposal = of_pods(pods, current, 1000, USUAL)
    assert proposal is not None
    assert proposal.instances == current
