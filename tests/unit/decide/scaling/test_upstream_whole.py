"""Whole decisions as upstream's horizontal_test.go has them (Kubernetes 1.36), by the names of its tests.

Amounts are upstream's thousandths, taken as whole numbers on both sides: ratios stay what they are.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maas_operator.api.scaling import Scaling
from maas_operator.api.seen import InstanceMeasured, Measured, Recommendation, ScalingMemory, ServiceSeen
from maas_operator.decide.scaling.number import number
from maas_operator.decide.scaling.schedules import bounds_at
from tests.unit.decide.facts import pod

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG_AGO = [(0, 60)]
"""What upstream writes as an empty list: some recommendation is known, and none counts."""
UP_700_PERCENT = {"scaleUp": {"policies": [{"type": "Percent", "value": 700, "periodSeconds": 60}]}}
UP_100_PERCENT = {
    "scaleUp": {
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        "stabilizationWindowSeconds": 30,
    }
}

# name: (least, most, instances now, targets, figures of the pods, of the service, what else, instances then)
PODS, SERVICE = "Queue", "QPS"
CASES: dict[str, tuple[Any, ...]] = {
    "TestScaleUpCM": (2, 6, 3, {PODS: 15000}, [20000, 10000, 30000], None, {}, 4),
    "TestScaleUpCMUnreadyAndHotCpuNoLessScale": (2, 6, 3, {PODS: 15000}, [50000, 10000, 30000], None, {}, 6),
    "TestScaleUpCMUnreadyandCpuHot": (2, 6, 3, {PODS: 15000}, [50000, 15000, 30000], None, {}, 6),
    "TestScaleUpPerPodCMObject": (2, 6, 3, {SERVICE: 10000}, [], 40000, {}, 4),
    "TestScaleUpPerPodCMExternal": (2, 6, 3, {SERVICE: 2222}, [], 8600, {}, 4),
    "TestScaleDownCM": (2, 6, 5, {PODS: 20000}, [12000] * 5, None, {"before": LONG_AGO}, 3),
    "TestScaleDownPerPodCMObject": (2, 6, 5, {SERVICE: 20000}, [], 60000, {"before": LONG_AGO}, 3),
    "TestScaleDownPerPodCMExternal": (2, 6, 5, {SERVICE: 3000}, [], 8600, {"before": LONG_AGO}, 3),
    "TestScaleDownWithScalingRules": (
        2, 6, 5, {PODS: 500}, [100, 300, 500, 250, 250], None, {"before": LONG_AGO, "behavior": UP_100_PERCENT}, 3,
    ),
    "TestScaleDownStabilizeInitialSize": (2, 6, 5, {PODS: 500}, [100, 300, 500, 250, 250], None, {}, 5),
    "TestStabilizeDownscale": (1, 5, 4, {PODS: 100}, [50, 50, 50], None, {"before": [(10, 10), (4, 1)]}, 4),
    "TestToleranceCM": (1, 5, 3, {PODS: 20000}, [20000, 20001, 21000], None, {}, 3),
    "TestTolerancePerPodCMExternal": (2, 6, 4, {SERVICE: 2200}, [], 8600, {}, 4),
    "TestTooFewReplicas": (3, 5, 2, {PODS: 90}, [], None, {}, 3),
    "TestTooManyReplicas": (3, 5, 10, {PODS: 90}, [], None, {}, 5),
    "TestScaleUpOneMetricEmpty": (2, 6, 3, {PODS: 300, SERVICE: 100}, [300, 400, 500], None, {}, 4),
    "TestNoScaleDownOneMetricEmpty": (
        2, 6, 5, {PODS: 500, SERVICE: 1000}, [100, 300, 500, 250, 250], None, {"before": LONG_AGO}, 5,
    ),
    "TestScaleUpBothMetricsEmpty": (2, 6, 3, {PODS: 300, SERVICE: 100}, [], None, {}, 3),
    "TestUpscaleCap": (1, 100, 3, {PODS: 10}, [1000, 2000, 3000], None, {"behavior": UP_700_PERCENT}, 24),
    "TestUpscaleCapGreaterThanMaxReplicas": (
        1, 20, 3, {PODS: 10}, [1000, 2000, 3000], None, {"behavior": UP_700_PERCENT}, 20,
    ),
    "TestMoreReplicasThanSpecNoScale": (1, 8, 4, {PODS: 500}, [500] * 5, None, {}, 4),
    "TestNoBackoffUpscaleCM": (1, 5, 3, {PODS: 15000}, [20000, 10000, 30000], None, {}, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_whole_decision(name: str) -> None:
    least, most, current, metrics, figures, usage, more, expected = CASES[name]
    scaling = Scaling.model_validate(
        {
            "minInstances": least,
            "maxInstances": most,
            "metrics": [{"type": kind, "target": target} for kind, target in metrics.items()],
            "behavior": more.get("behavior"),
        }
    )
    pods = [pod(f"p{each}", ready=True) for each in range(max(current, len(figures)))]
    told = {each.name: InstanceMeasured(0, figure, 0) for each, figure in zip(pods, figures, strict=False)}
    before = tuple(Recommendation(NOW - timedelta(minutes=age), count) for count, age in more.get("before", ()))
    seen = ServiceSeen(
        service={},
        model=None,
        pool=None,
        namespace_labels={},
        children={},
        pods=pods[: len(figures)] if figures else pods,
        nodes=(),
        measured=Measured(NOW, told, usage, 0, None, None),
        scaling_memory=ScalingMemory(recommendations=before),
    )
    assert number(seen, scaling, bounds_at(scaling, NOW), seen.pods, current, NOW).instances == expected
