"""Whatever ends or fails between an act and its status: what happened is neither lost nor undone, and costs no write
more."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import pytest

from maas_operator.api.seen import InstanceMeasured
from tests.unit.decide.reconciled import HOW, Reconciled, Trouble
from tests.unit.decide.scaling.life import Life

MINUTE = 60
STATUS = "PATCH assistant/status"


def goes_on(life: Life, minutes: int) -> None:
    """Nobody calls it for so long; the last of it has not been looked at."""
    life.settle()
    life.run(minutes * MINUTE - 15)
    life.now += timedelta(seconds=15)


def falls_asleep() -> Life:
    life = Life({"minInstances": 0, "maxInstances": 2, "sleepAfter": "10m"})
    goes_on(life, 10)
    life.measure()
    return life


def has_been_idle() -> Life:
    life = Life(None, autoStop={"afterIdle": "1h"}, instances=1)
    goes_on(life, 60)
    life.measure()
    return life


def has_run_long() -> Life:
    life = Life(None, autoStop={"after": "1h"}, instances=1)
    goes_on(life, 60)
    return life


def is_scaled() -> Life:
    life = Life({"minInstances": 1, "maxInstances": 5, "metrics": [{"type": "Concurrency", "target": 10}]})
    life.settle()
    life.now += timedelta(seconds=15)
    life.measure(running=30)
    return life


def hangs() -> Life:
    life = Life(None, instances=2)
    life.settle()
    life.now += timedelta(seconds=15)
    life.measure(running=1)
    assert life.measured
    since = life.now - timedelta(seconds=life.settings.hang_seconds)
    stuck = {"p1": InstanceMeasured(1, 0, 10, stuck_since=since)}
    life.measured = replace(life.measured, instances={**life.measured.instances, **stuck})
    return life


def is_changed() -> Life:
    life = Life(None, instances=1)
    life.settle()
    life.change(engine={"args": ["--seed=2"]})
    return life


def instances_leave(life: Life) -> None:
    """What is more than the Deployment asks for."""
    for each in [each for each in life.pods if not each.leaving][life.replicas :]:
        life.pods = [replace(each, leaving=True, ready=False) if pod is each else pod for pod in life.pods]


@dataclass(frozen=True)
class Case:
    life: Callable[[], Life]
    """Just before it happens."""
    act: str
    happened: str
    """The reason of the event that is written when it begins."""
    ends_as: Callable[[Life], object]
    """What has to come of it."""
    controllers: Callable[[Life], None] = instances_leave
    """What they make of it before the operator looks again."""


def _asleep(life: Life) -> object:
    return life.replicas, "asleepSince" in life.scaling


def _stopped(life: Life) -> object:
    return life.replicas, life.status["phase"], "stoppedAt" in life.status["autoStop"]


def _replaced(life: Life) -> object:
    return [each.name for each in life.pods if each.leaving], life.status["phase"]


def _updated(life: Life) -> object:
    return told(life)[-2:]


DEPLOYMENT = "PATCH deployments/assistant"
CASES = {
    "sleep": Case(falls_asleep, DEPLOYMENT, "FellAsleep", _asleep),
    "idle": Case(has_been_idle, DEPLOYMENT, "Stopped", _stopped),
    "after": Case(has_run_long, DEPLOYMENT, "Stopped", _stopped),
    "scaling": Case(is_scaled, DEPLOYMENT, "Scaled", lambda life: life.replicas),
    "hang": Case(hangs, "DELETE pods/p1", "SuspectedSuspension", _replaced),
    "change": Case(is_changed, DEPLOYMENT, "Updating", _updated, Life.fill),
}


@cache
def lived(case: Case) -> Life:
    return case.life()


def operator_of(case: Case) -> Reconciled:
    return Reconciled(copy.deepcopy(lived(case)))


def told(life: Life) -> list[str]:
    return [each["reason"] for each in life.status["events"]]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_m9_its_status_stands_before_it_is_done_and_is_written_once(case: Case) -> None:
    operator = operator_of(case)
    operator.look()
    assert case.act in operator.wrote
    assert operator.wrote.count(STATUS) == 1
    assert operator.wrote.index(STATUS) < operator.wrote.index(case.act)
    assert case.happened in told(operator.life)
    operator.look()
    assert case.act not in operator.wrote


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("write", range(4))
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_m9_whatever_ends_or_fails_nothing_is_lost_or_undone(case: Case, write: int, how: str) -> None:
    undisturbed, operator = operator_of(case), operator_of(case)
    operator.trouble = Trouble(write, how)
    for each in (undisturbed, operator):
        measured = each.life.measured
        for _ in range(4):
            each.look()
            case.controllers(each.life)
            each.life.measured = measured  # a new operator measures, too
    life = operator.life
    assert case.ends_as(life) == case.ends_as(undisturbed.life)
    assert told(life).count(case.happened) == told(undisturbed.life).count(case.happened) == 1


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_m9_what_cannot_be_done_is_written_twice_and_not_again_with_each_try(case: Case) -> None:
    operator = operator_of(case)
    operator.forbidden = case.act
    operator.look()
    assert operator.wrote.count(STATUS) == 2, "what is about to be done, and that it cannot be"
    for _ in range(3):
        operator.look()
        assert STATUS not in operator.wrote
    assert told(operator.life).count(case.happened) == 1
    operator.forbidden = ""
    operator.look()
    assert case.act in operator.wrote
