"""M13, M14, M15: which action fits which state."""

import pytest

from maas_operator.api.actions import Action, fitting, refusal
from maas_operator.api.conditions import Phase

GUIDE = {
    "Queuing": "stop delete",
    "Starting": "stop delete",
    "Deploying": "stop delete",
    "Running": "stop scale qps upgrade delete",
    "Alarm": "stop scale qps upgrade delete",
    "Failed": "start delete",
    "Stopped": "start delete",
    "Updating": "delete",
    "Upgrading": "delete",
}


@pytest.mark.parametrize("phase", Phase)
def test_m13_m14_m15_each_state_has_the_actions_that_the_guide_gives_it(phase: Phase) -> None:
    assert " ".join(fitting(phase, accepted=True)) == GUIDE[phase]


@pytest.mark.parametrize("phase", Phase)
def test_m8_a_spec_that_is_not_accepted_may_be_put_right_in_any_state(phase: Phase) -> None:
    assert {Action.SCALE, Action.QPS, Action.UPGRADE} <= set(fitting(phase, accepted=False))


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("action", Action)
def test_an_action_is_refused_where_it_does_not_fit_and_only_there(phase: Phase, action: Action) -> None:
    assert (refusal("a", action, phase, accepted=True) is None) == (action in GUIDE[phase].split())


def test_m13_a_refusal_names_the_state_where_the_action_fits_and_what_fits_the_state() -> None:
    assert refusal("assistant", Action.STOP, Phase.STOPPED, accepted=True) == (
        "service assistant is Stopped: stop fits Queuing, Starting, Deploying, Running, Alarm; "
        "what fits Stopped: start, delete"
    )
