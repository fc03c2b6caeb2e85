"""Sleep and waking: minInstances 0."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from maas_operator.api.seen import InstanceMeasured
from maas_operator.api.settings import Settings
from tests.unit.decide.scaling.life import Life

CONCURRENCY = [{"type": "Concurrency", "target": 10}]
TEN_MINUTES = 600


def sleepy(**more: Any) -> Life:
    life = Life({"minInstances": 0, "maxInstances": 4, **more})
    life.settle()
    return life


def asleep(**more: Any) -> Life:
    life = sleepy(**more)
    life.run(TEN_MINUTES + 15)
    assert life.replicas == 0
    life.settle()
    return life


def condition(life: Life, kind: str) -> tuple[str, str, str]:
    found = next(each for each in life.status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"], found["message"]


def test_it_begins_with_an_instance_so_that_errors_show_and_falls_asleep_without_any_request() -> None:
    life = sleepy()
    assert life.replicas == 1
    life.run(TEN_MINUTES - 15)
    assert life.replicas == 1
    life.run(30)
    assert life.replicas == 0
    assert life.why == "asleep: no request for 10m; a request wakes it"
    assert life.told == ["FellAsleep: from 1 to asleep: no request for 10m; a request wakes it"]


def test_without_a_gateway_it_stays_awake_and_says_why() -> None:
    life = Life({"minInstances": 0, "maxInstances": 4})
    life.settings, life.since = Settings(), None
    life.settle()
    life.run(2 * TEN_MINUTES, held=None, qps=None)
    assert life.replicas == 1
    assert life.why == (
        "1 instance: one while it is awake; without a gateway it does not fall asleep, since no request would wake it"
    )
    life.change({"minInstances": 1, "maxInstances": 4})
    life.look()
    assert life.why == "1 instance: at least minInstances 1"


def test_m12_asleep_it_is_well() -> None:
    life = asleep()
    assert life.status["phase"] == "Running"
    assert condition(life, "Ready") == ("True", "Asleep", "asleep: a request wakes it")
    assert life.status["instances"]["summary"] == "0/0"
    assert {each["type"] for each in life.status["conditions"]}.isdisjoint({"Reconciling", "Stalled"})


def test_m12_while_the_last_instance_finishes_it_is_running_and_being_reconciled() -> None:
    life = asleep()
    life.loads = False
    life.pods = [replace(each, leaving=True) for each in pods_of(1)]
    life.look()
    assert life.status["phase"] == "Running"
    assert condition(life, "Ready")[:2] == ("False", "Asleep")
    assert condition(life, "Reconciling")[0] == "True"


def pods_of(count: int) -> list[Any]:
    life = Life(None, instances=count)
    life.settle()
    return list(life.pods)


def test_it_does_not_fall_asleep_while_requests_come() -> None:
    life = sleepy(sleepAfter="1m")
    for _ in range(20):
        life.run(15, running=1)
        life.run(30)
    assert life.replicas == 1
    life.run(75)
    assert life.replicas == 0


@pytest.mark.parametrize("load", [{"running": 1}, {"waiting": 1}, {"held": 1}], ids=str)
def test_it_does_not_fall_asleep_over_a_request_however_long_ago_that_came(load: dict[str, int]) -> None:
    life = sleepy(sleepAfter="1m")
    for _ in range(20):
        life.now += timedelta(seconds=15)
        life.measure(**load)
        life.measured = replace(life.measured, last_request=None) if life.measured else None
        life.look()
    assert life.replicas == 1


class TestWhatIsNotKnownKeepsItAwake:
    def test_nothing_is_measured(self) -> None:
        life = sleepy()
        for _ in range(100):
            life.look(60)
        assert life.replicas == 1

    def test_a_gateway_does_not_answer(self) -> None:
        life = sleepy()
        life.run(2 * TEN_MINUTES, held=None)
        assert life.replicas == 1

    def test_a_gateway_has_not_counted_for_long_enough(self) -> None:
        life = sleepy()
        life.run(TEN_MINUTES - 60)
        life.since = life.now
        life.run(TEN_MINUTES - 15)
        assert life.replicas == 1
        life.run(30)
        assert life.replicas == 0

    def test_an_instance_does_not_say_what_it_works_on(self) -> None:
        life = sleepy()
        for _ in range(100):
            life.now += timedelta(seconds=15)
            life.measure()
            life.without_figures("p0")
            life.look()
        assert life.replicas == 1

    def test_the_clock_was_set_back_after_the_measurement(self) -> None:
        life = sleepy()
        life.run(TEN_MINUTES, running=1)
        life.look(-2 * TEN_MINUTES)
        assert life.replicas == 1, "the time from now to the measurement is none without requests"

    def test_the_measurements_stop(self) -> None:
        life = sleepy()
        life.run(TEN_MINUTES - 60)
        life.look(TEN_MINUTES)
        assert life.replicas == 1


class TestItFallsAsleepFromRestAlone:
    def test_not_before_its_first_instance_has_been_ready_for_so_long(self) -> None:
        life = Life({"minInstances": 0, "maxInstances": 4})
        life.loads = False
        life.look()
        life.run(2 * TEN_MINUTES)
        assert life.replicas == 1
        life.fill()
        life.loads = True
        life.settle()
        life.run(TEN_MINUTES - 15)
        assert life.replicas == 1
        life.run(30)
        assert life.replicas == 0

    def test_not_before_what_was_just_changed_runs(self) -> None:
        life = sleepy()
        life.run(TEN_MINUTES - 15)
        life.change(engine={"args": ["--seed=1"]})
        life.loads = False
        life.run(60)
        assert life.replicas == 1
        assert life.status["phase"] == "Updating"


WAKES: dict[str, Any] = {
    "the gateway asks": lambda life: life.annotate("wake-requested-at", "1"),
    "a request is held": lambda life: life.measure(held=1),
    "a request has come that was not held": lambda life: life.call(),
    "its user starts it": lambda life: life.annotate("start-requested-at", "now"),
    "its least is raised": lambda life: life.change({"minInstances": 1, "maxInstances": 4}),
}


@pytest.mark.parametrize("name", WAKES)
def test_it_wakes_when(name: str) -> None:
    life = asleep()
    WAKES[name](life)
    life.look(1)
    assert life.replicas == 1
    assert "asleepSince" not in life.scaling
    assert life.told[-1].startswith("Woken: from 0 to 1 instance: woken by ")
    life.settle()
    life.run(TEN_MINUTES - 30)
    assert life.replicas == 1, "it has its whole time again"


def test_it_wakes_to_the_least_that_a_schedule_asks_for() -> None:
    office = {"name": "office", "start": "0 13 * * *", "end": "0 18 * * *", "minInstances": 3}
    life = asleep(schedules=[office])
    left = life.look().look_again
    assert left is not None
    life.look(left)
    assert (life.replicas, life.now.hour, life.now.minute) == (3, 13, 0)
    assert life.told[-1] == "Woken: from 0 to 3 instances: woken by minInstances 3 of schedule office"


def test_nothing_else_wakes_it() -> None:
    life = asleep()
    writes = life.writes
    life.run(3600)
    life.restart()
    life.look(3600)
    life.run(3600)
    assert (life.replicas, life.writes) == (0, writes)


def test_a_request_that_came_before_it_fell_asleep_does_not_wake_it() -> None:
    life = sleepy()
    life.run(15, running=1)
    life.run(TEN_MINUTES + 15)
    assert life.replicas == 0
    life.run(3600)
    assert life.replicas == 0


def test_what_goes_past_the_gateways_does_not_wake_it() -> None:
    life = asleep()
    life.call()
    assert life.measured
    life.measured = replace(life.measured, called=None)
    life.look()
    assert life.replicas == 0


def test_it_sleeps_again_after_a_call_that_woke_it_and_each_call_wakes_it() -> None:
    life = asleep()
    for _ in range(3):
        life.call()
        life.look()
        assert life.replicas == 1
        life.settle()
        life.run(TEN_MINUTES + 15)
        assert life.replicas == 0
        life.settle()


@pytest.mark.parametrize("annotation", ["wake-requested-at", "start-requested-at"])
def test_an_annotation_that_is_taken_away_wakes_nobody(annotation: str) -> None:
    """GitOps that puts an object back as its file has it takes away what the gateway, or a user, has set."""
    life = asleep()
    life.annotate(annotation, "1")
    life.settle()
    life.run(2 * TEN_MINUTES)
    assert life.replicas == 0
    del life.service["metadata"]["annotations"][f"maas-operator.io/{annotation}"]
    life.settle()
    assert life.replicas == 0
    life.annotate(annotation, "1")
    life.settle()
    assert life.replicas == 1, "not even a value that was there before is lost"


def test_each_wake_needs_another_value() -> None:
    life = asleep()
    life.annotate("wake-requested-at", "1")
    life.look()
    life.settle()
    life.run(TEN_MINUTES + 15)
    assert life.replicas == 0, "the value of the last wake is none"
    life.annotate("wake-requested-at", "2")
    life.look()
    assert life.replicas == 1


class TestNoWakeIsLost:
    """A request that comes while the service falls asleep."""

    def test_asked_for_after_the_decision_and_before_its_status_was_written(self) -> None:
        life = sleepy()
        life.run(TEN_MINUTES - 15)
        life.now += timedelta(seconds=15)
        life.measure()
        life.look()
        assert life.replicas == 0
        life.annotate("wake-requested-at", "1")
        life.look()
        assert life.replicas == 1

    def test_asked_for_before_the_decision_by_a_request_that_was_not_measured_yet(self) -> None:
        life = sleepy()
        life.run(TEN_MINUTES - 15)
        life.now += timedelta(seconds=15)
        life.measure()
        life.annotate("wake-requested-at", "1")
        life.look(0.1)
        assert life.replicas == 1
        life.run(TEN_MINUTES - 30)
        assert life.replicas == 1
        life.run(45)
        assert life.replicas == 0

    def test_asked_for_after_a_measurement_that_is_decided_upon_again(self) -> None:
        life = sleepy(sleepAfter="1m")
        life.run(60, running=1)
        life.now += timedelta(seconds=50)
        life.annotate("wake-requested-at", "1")
        life.settle()
        life.last_request = None
        life.run(45)
        assert life.replicas == 1, "95 s after the measured request, 45 s after it was asked for"

    def test_asked_for_over_a_restart_of_the_operator(self) -> None:
        life = asleep()
        life.restart()
        life.annotate("wake-requested-at", "1")
        life.look()
        assert life.replicas == 1

    def test_asked_for_while_awake_over_a_restart_of_the_operator(self) -> None:
        life = sleepy()
        life.run(TEN_MINUTES - 15)
        life.restart()
        life.annotate("wake-requested-at", "1")
        life.now += timedelta(seconds=15)
        life.measure()
        life.look()
        assert life.replicas == 1


def test_a_status_that_could_not_be_written_loses_no_wake() -> None:
    life = sleepy()
    life.run(TEN_MINUTES - 15)
    status, memory = life.service["status"], life.memory
    life.annotate("wake-requested-at", "1")
    life.now += timedelta(seconds=15)
    life.measure()
    life.look()
    life.service["status"], life.memory = status, memory
    life.look(1)
    assert life.replicas == 1


def test_it_wakes_to_one_and_takes_more_for_what_is_held() -> None:
    life = asleep(metrics=CONCURRENCY)
    life.annotate("wake-requested-at", "1")
    life.loads = False
    life.look()
    assert life.replicas == 1
    life.run(15, held=35)
    assert life.replicas == 4


def test_m10_asleep_no_time_counts() -> None:
    life = sleepy()
    life.change(autoStop={"after": "1h"})
    life.settle()
    life.run(TEN_MINUTES + 30)
    assert life.replicas == 0
    life.settle()
    assert "stopsAt" not in life.status["autoStop"]
    life.look(24 * 3600)
    assert life.status["phase"] == "Running"
    assert life.status["autoStop"]["countedSeconds"] <= TEN_MINUTES + 60


def test_metrics_never_bring_it_to_zero() -> None:
    life = sleepy(metrics=CONCURRENCY, sleepAfter="2h", behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    life.run(3600)
    assert life.replicas == 1


def test_from_several_idle_instances_it_falls_asleep_too() -> None:
    life = sleepy(metrics=CONCURRENCY, sleepAfter="1m")
    life.run(15, running=40)
    assert life.replicas == 4
    life.run(90)
    assert life.replicas == 0


def test_an_instance_that_was_not_measured_at_all_is_not_idle() -> None:
    life = sleepy()
    life.run(TEN_MINUTES - 15)
    life.now += timedelta(seconds=15)
    life.measure()
    assert life.measured
    life.measured = replace(life.measured, instances={"another": InstanceMeasured(0, 0, 0)})
    life.look()
    assert life.replicas == 1
