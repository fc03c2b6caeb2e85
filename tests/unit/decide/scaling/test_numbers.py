"""How many instances a service has, from the spec and the measurements to the Deployment."""

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service
from tests.unit.decide.facts import pod
from tests.unit.decide.scaling.life import Life

CONCURRENCY = [{"type": "Concurrency", "target": 10}]
AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}


def scaled(least: int = 1, most: int = 10, **more: Any) -> Life:
    life = Life({"minInstances": least, "maxInstances": most, "metrics": CONCURRENCY, **more})
    life.settle()
    return life


def test_it_begins_with_the_least_and_follows_its_metric() -> None:
    life = scaled(least=2)
    assert (life.replicas, life.why) == (2, "2 instances: at least minInstances 2")
    life.run(15, running=15)
    assert life.replicas == 3
    assert life.why == "3 instances: Concurrency 15 per instance over the target 10 asks for 3"
    assert life.told == ["Scaled: from 2 to 3 instances: Concurrency 15 per instance over the target 10 asks for 3"]
    assert life.scaling["metrics"] == [{"type": "Concurrency", "averageValue": "15", "target": 10}]
    assert life.scaling["lastScaleTime"] == "2026-01-31T12:00:15Z"


def test_before_anything_is_measured_nothing_moves() -> None:
    life = scaled()
    life.look(3600)
    assert life.replicas == 1
    life.measured = None
    life.look(3600)
    assert life.replicas == 1


def test_a_measurement_is_decided_upon_once() -> None:
    life = scaled()
    life.run(15, running=100)
    assert life.replicas == 5, "four more in 15 seconds"
    for _ in range(5):
        life.look(1)
    assert life.replicas == 5


def test_a_changed_spec_is_decided_upon_at_once() -> None:
    life = scaled()
    life.run(15, running=15)
    assert life.replicas == 2
    life.change({"minInstances": 1, "maxInstances": 10, "metrics": [{"type": "Concurrency", "target": 4}]})
    life.look(1)
    assert life.replicas == 4


def test_at_its_bounds_it_says_so() -> None:
    life = scaled(most=4)
    life.run(15, running=50)
    assert life.replicas == 4
    assert life.why == "4 instances: Concurrency 50 per instance over the target 10 asks for 5; at most maxInstances 4"
    life.change({"minInstances": 2, "maxInstances": 4, "metrics": CONCURRENCY, "behavior": AT_ONCE})
    life.run(30, running=1)
    assert life.replicas == 2
    assert life.why == "2 instances: Concurrency 1 per instance under the target 10 asks for 1; at least minInstances 2"


def test_bounds_that_change_count_at_once_and_without_a_measurement() -> None:
    life = scaled()
    life.change({"minInstances": 3, "maxInstances": 10})
    life.look()
    assert life.replicas == 3
    life.change({"minInstances": 1, "maxInstances": 2, "metrics": CONCURRENCY})
    life.look()
    assert life.replicas == 2
    life.change({"minInstances": 1, "maxInstances": 2})  # nothing to follow any more
    life.look()
    assert life.replicas == 1


def test_fewer_instances_only_after_five_minutes_in_which_none_more_was_asked_for() -> None:
    life = scaled()
    life.run(15, running=30)
    assert life.replicas == 3
    life.run(285, running=1)
    assert life.replicas == 3
    life.run(30, running=1)
    assert life.replicas == 1


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    """What stands in memory from a time that has yet to come would count as of this moment until then."""
    life = scaled(behavior={"scaleDown": {"stabilizationWindowSeconds": 60}})
    life.run(15, running=100)
    assert life.replicas == 5
    life.now -= timedelta(hours=1)
    life.run(15, running=100)
    assert life.replicas == 10, "the policies count no step that is still to come"
    life.now -= timedelta(hours=1)
    life.run(15, running=1)
    assert life.replicas == 10, "as after a restart, not at once"
    life.run(75, running=1)
    assert life.replicas == 1


def test_a_restarted_operator_does_not_scale_down_at_once() -> None:
    life = scaled()
    life.run(15, running=30)
    life.run(240, running=1)
    life.restart()
    life.look()
    assert life.replicas == 3, "from status"
    life.run(285, running=1)
    assert life.replicas == 3
    life.run(30, running=1)
    assert life.replicas == 1


def test_policies_hold_over_several_measurements() -> None:
    policies = [{"type": "Pods", "value": 2, "periodSeconds": 60}]
    life = scaled(behavior={"scaleUp": {"policies": policies}})
    life.run(15, running=100)
    assert life.replicas == 3
    assert life.why.endswith("asks for 10; scaleUp.policies do not let it go to 10 yet")
    life.run(45, running=100)
    assert life.replicas == 3
    life.run(15, running=100)
    assert life.replicas == 5


def test_the_metric_that_asks_for_most_counts() -> None:
    life = Life(
        {
            "minInstances": 1,
            "maxInstances": 10,
            "metrics": [*CONCURRENCY, {"type": "QPS", "target": 2}, {"type": "KVCache", "target": 80}],
        }
    )
    life.settle()
    life.run(15, running=5, qps=7.2, kv_cache=90)
    assert life.replicas == 4
    assert life.why == "4 instances: QPS 7200m per instance over the target 2 asks for 4"
    assert [each["averageValue"] for each in life.scaling["metrics"]] == ["5", "7200m", "90"]


@pytest.mark.parametrize("kind", ["Queue", "KVCache"])
def test_a_metric_of_the_instances_alone(kind: str) -> None:
    life = Life({"minInstances": 2, "maxInstances": 10, "metrics": [{"type": kind, "target": 20}]})
    life.settle()
    life.run(15, waiting=40, kv_cache=40, held=100)
    assert life.replicas == 4, "what the gateway holds does not count in it"


def test_what_the_gateway_holds_counts_in_concurrency() -> None:
    life = scaled()
    life.run(15, running=10, held=15)
    assert life.replicas == 3


def test_held_requests_ask_for_instances_while_none_answers_yet() -> None:
    life = scaled(least=0, most=8)
    life.loads = False
    life.pods = []
    life.run(15, held=35)
    assert life.replicas == 4
    life.run(15, held=5)
    assert life.replicas == 4, "never for fewer"


class TestWhatIsNotKnown:
    def both(self) -> Life:
        life = Life(
            {
                "minInstances": 1,
                "maxInstances": 10,
                "metrics": [*CONCURRENCY, {"type": "QPS", "target": 2}],
                "behavior": AT_ONCE,
            }
        )
        life.settle()
        life.run(15, running=20, qps=4)
        assert life.replicas == 2
        return life

    def test_no_instance_is_removed_while_a_metric_is_missing(self) -> None:
        life = self.both()
        life.run(60, running=1, qps=None)
        assert life.replicas == 2
        assert life.why == "2 instances: fewer only once QPS is known"
        life.run(15, running=1, qps=1)
        assert life.replicas == 1

    def test_at_the_lower_bound_it_does_not_speak_of_fewer(self) -> None:
        life = scaled()
        life.loads, life.pods = False, [pod("p0", ready=False)]
        life.run(15)
        assert life.why == "1 instance: at least minInstances 1; Concurrency not known"

    def test_instances_are_added_upon_those_that_are_known(self) -> None:
        life = self.both()
        life.run(15, running=20, qps=None)
        assert life.replicas == 4
        assert life.why.endswith("asks for 4; QPS not wholly known")

    def test_concurrency_without_what_is_held_can_ask_for_more_alone(self) -> None:
        life = self.both()
        life.run(30, running=1, qps=0.5, held=None)
        assert life.replicas == 2
        life.run(15, running=20, qps=0.5, held=None)
        assert life.replicas == 4

    def test_an_instance_that_does_not_answer_is_at_its_target_when_there_could_be_fewer(self) -> None:
        life = scaled(behavior=AT_ONCE)
        life.run(15, running=40)
        assert life.replicas == 4
        life.look(15)
        life.measure(running=3)
        life.without_figures("p2", "p3")
        life.look()
        assert life.replicas == 3, "(3 + 3 + 10 + 10) / 10"

    def test_and_does_nothing_when_there_could_be_more(self) -> None:
        life = scaled()
        life.run(15, running=40)
        life.look(15)
        life.measure(running=20)
        life.without_figures("p2", "p3")
        life.look()
        assert life.replicas == 4, "(20 + 20 + 0 + 0) / 10"


def test_while_the_decision_stays_nothing_is_written() -> None:
    life = scaled(least=2)
    life.run(30, running=10)
    before = life.writes
    for load in (9, 10, 11, 5, 10) * 20:
        life.run(15, running=load)
    assert life.replicas == 2
    assert life.writes == before


def test_m13_started_again_it_begins_with_the_least_though_its_deployment_is_not_yet_seen_to_be_stopped() -> None:
    life = scaled()
    life.run(15, running=15)
    standing = copy.deepcopy(life.children)
    life.change(state="Stopped")
    life.look()
    life.children, life.measured = standing, None
    life.change(state="Running")
    life.look()
    assert (life.replicas, life.why) == (1, "1 instance: at least minInstances 1")


def test_fixed_instances_become_the_first_number() -> None:
    life = Life(None, instances=4)
    life.settle()
    del life.service["spec"]["instances"]
    life.change({"minInstances": 1, "maxInstances": 10, "metrics": CONCURRENCY})
    life.look()
    assert (life.replicas, life.why) == (4, "4 instances: as many as ran before spec.scaling decided on it")
    life.run(270, running=1)
    assert life.replicas == 4
    life.run(45, running=1)
    assert life.replicas == 1


def test_a_stopped_service_begins_anew_when_it_is_started() -> None:
    life = scaled()
    life.run(15, running=50)
    life.change(state="Stopped")
    life.look()
    assert (life.replicas, life.status["phase"], life.scaling) == (0, "Stopped", {})
    assert life.memory is None or not (life.memory.events or life.memory.recommendations)
    life.change(state="Running")
    life.settle()
    assert (life.replicas, life.scaling["desired"]) == (1, 1)


def test_m8_a_qps_is_allowed_up_to_the_most_instances() -> None:
    life = Life({"minInstances": 0, "maxInstances": 3}, qps=31)
    flavor = {"name": "one", "cpu": "1", "memory": "1Gi", "maxQPS": 10}
    pool = {"metadata": {"name": "pool-a"}, "spec": {"flavors": [flavor]}}

    def verdict() -> str:
        seen = replace(life.seen(), pool=pool)
        conditions = decide_service(seen, Settings(), life.now).status["conditions"]
        return next(str(each["message"]) for each in conditions if each["type"] == "Accepted")

    assert verdict() == (
        "ModelArts.4206: qps 31 is above what is allowed: flavor one allows 10 an instance, 30 for 3; lower qps or "
        "raise scaling.maxInstances"
    )
    life.change(qps=30)
    assert "ModelArts.4206" not in verdict()
